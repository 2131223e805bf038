"""SVG text: elements, escaped; figures that stand alone and figures inside a page.

Colours follow the page: ``INK`` and ``FAINT`` are CSS variables with a fallback for stand-alone files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

INK, FAINT, ACCENT = "var(--ink,#1c2733)", "var(--faint,#768390)", "var(--accent,#0b6e75)"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
# Of an attribute; None: it is left out.
Value: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing.

    Attributes
    ----------
    body : str
        SVG content; may refer to shared symbols by ``href="#name"``.
    width, height : float
        Of the view box; ``width`` is also the natural width in pixels.
    alt : str
        What it shows, for those who do not see it.
    shared : dict of str to str
        The symbols that it refers to, drawn once a page.
    """

    body: str
    width: float
    height: float
    alt: str
    shared: dict[str, str]

    def inline(self, style: str = "") -> str:
        """Return the figure for a page that holds the shared symbols."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return (
            f'<svg class="figure {style}" viewBox="{box}" role="img" '
            f'aria-label={quoteattr(self.alt)} style="--natural:{number(self.width)}px">{self.body}</svg>'
        )

    def file(self) -> str:
        """Return the figure as an SVG file of its own, without variables."""
        symbols = "".join(self.shared.values())
        width, height = number(self.width), number(self.height)
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"><title>{escape(self.alt)}</title>'
            f"{'<defs>' + symbols + '</defs>' if symbols else ''}{self.body}</svg>\n"
        )
        return re.sub(r"var\(--[a-z-]+,(#[0-9a-f]+)\)", r"\1", text)


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


def tag(name: str, content: str = "", /, **attributes: Value) -> str:
    """Return an element; underscores in attribute names are dashes, content is SVG already."""
    pairs = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(v if isinstance(v, str) else number(v))}"
        for key, v in attributes.items()
        if v is not None
    )
    return f"<{name}{pairs}>{content}</{name}>" if content else f"<{name}{pairs}/>"


def group(content: str, x: float, y: float, scale: float = 1.0) -> str:
    """Return content moved and scaled."""
    grow = f" scale({number(scale)})" if scale != 1 else ""
    return f'<g transform="translate({number(x)} {number(y)}){grow}">{content}</g>'


def text(
    x: float, y: float, words: str, *, size: float = 11, anchor: str = "start", **attributes: Value
) -> str:
    """Return words at a place, escaped."""
    attributes = {"fill": INK, "font_family": FONT, **attributes}
    return tag("text", escape(str(words)), x=x, y=y, font_size=size, text_anchor=anchor, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, /, **attributes: Value) -> str:
    """Return a line."""
    look: dict[str, Value] = {"stroke": FAINT, "stroke_width": 1, **attributes}
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **look)


def rectangle(x: float, y: float, width: float, height: float, **attributes: Value) -> str:
    """Return a rectangle."""
    return tag("rect", x=x, y=y, width=max(width, 0), height=max(height, 0), **attributes)


def image(x: float, y: float, width: float, height: float, address: str, **attributes: Value) -> str:
    """Return a raster image stretched over a box."""
    box: dict[str, Value] = {"x": x, "y": y, "width": width, "height": height, "preserveAspectRatio": "none"}
    return tag("image", **box, href=address, **attributes)


def polyline(xs: Iterable[float], ys: Iterable[float], **attributes: Value) -> str:
    """Return a line through points; it breaks where a y is not a number."""
    parts, start = [], True
    for x, y in zip(xs, ys, strict=True):
        if y != y:
            start = True
            continue
        parts.append(f"{'M' if start else 'L'}{number(x)} {number(y)}")
        start = False
    look: dict[str, Value] = {"fill": "none", "stroke": INK, "stroke_width": 1, **attributes}
    return tag("path", d="".join(parts), **look)


def cut(name: str, length: int) -> str:
    """Return a name, shortened in its middle where it is longer."""
    name = str(name)
    return name if len(name) <= length else name[: length // 2 - 1] + "…" + name[-(length // 2) :]
