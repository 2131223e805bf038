"""SVG text: elements, escaped; figures that stand alone and figures inside a page.

Colours follow the page: ``INK`` and ``FAINT`` are CSS variables with a fallback for stand-alone files.
"""

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

INK, FAINT, ACCENT = "var(--ink,#1c2733)", "var(--faint,#768390)", "var(--accent,#0b6e75)"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


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
    shared: dict

    def inline(self, style=""):
        """Return the figure for a page that holds the shared symbols."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return (
            f'<svg class="figure {style}" viewBox="{box}" role="img" '
            f'aria-label={quoteattr(self.alt)} style="--natural:{number(self.width)}px">{self.body}</svg>'
        )

    def file(self):
        """Return the figure as an SVG file of its own, without variables."""
        symbols = "".join(self.shared.values())
        width, height = number(self.width), number(self.height)
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"><title>{escape(self.alt)}</title>'
            f"{'<defs>' + symbols + '</defs>' if symbols else ''}{self.body}</svg>\n"
        )
        return re.sub(r"var\(--[a-z-]+,(#[0-9a-f]+)\)", r"\1", text)


def number(value):
    """Return a coordinate with at most two decimals."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


def tag(name, content="", **attributes):
    """Return an element; underscores in attribute names are dashes, content is SVG already."""
    pairs = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(v if isinstance(v, str) else number(v))}"
        for key, v in attributes.items()
        if v is not None
    )
    return f"<{name}{pairs}>{content}</{name}>" if content else f"<{name}{pairs}/>"


def group(content, x, y, scale=1.0):
    """Return content moved and scaled."""
    grow = f" scale({number(scale)})" if scale != 1 else ""
    return f'<g transform="translate({number(x)} {number(y)}){grow}">{content}</g>'


def text(x, y, words, *, size=11, anchor="start", **attributes):
    """Return words at a place, escaped."""
    attributes = {"fill": INK, "font_family": FONT, **attributes}
    return tag("text", escape(str(words)), x=x, y=y, font_size=size, text_anchor=anchor, **attributes)


def line(x1, y1, x2, y2, **attributes):
    """Return a line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **{"stroke": FAINT, "stroke_width": 1, **attributes})


def rectangle(x, y, width, height, **attributes):
    """Return a rectangle."""
    return tag("rect", x=x, y=y, width=max(width, 0), height=max(height, 0), **attributes)


def image(x, y, width, height, address, **attributes):
    """Return a raster image stretched over a box."""
    box = {"x": x, "y": y, "width": width, "height": height, "preserveAspectRatio": "none"}
    return tag("image", **box, href=address, **attributes)


def polyline(xs, ys, **attributes):
    """Return a line through points; it breaks where a y is not a number."""
    parts, start = [], True
    for x, y in zip(xs, ys, strict=True):
        if y != y:
            start = True
            continue
        parts.append(f"{'M' if start else 'L'}{number(x)} {number(y)}")
        start = False
    return tag("path", d="".join(parts), **{"fill": "none", "stroke": INK, "stroke_width": 1, **attributes})


def cut(name, length):
    """Return a name, shortened in its middle where it is longer."""
    name = str(name)
    return name if len(name) <= length else name[: length // 2 - 1] + "…" + name[-(length // 2) :]
