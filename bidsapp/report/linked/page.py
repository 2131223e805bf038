"""Linked views in a page: what lies in the page, what in a script file beside it."""

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bidsapp.records.documents import Document
from bidsapp.report.drawing.colours import SLICES
from bidsapp.report.linked.cortex import pack_cortex
from bidsapp.report.linked.pack import Parts
from bidsapp.report.linked.view import PackedView
from bidsapp.report.render import render

# What a page may weigh; the rest goes to files beside it.
MAX_PAGE_BYTES = 6_000_000
# Of it, for style, scripts and the symbols that figures share.
SHARED_BYTES = 120_000


@dataclass(frozen=True, slots=True, eq=False)
class LinkedViews:
    """The end of a page with linked views, safe HTML, and the files beside the page: path -> text."""

    html: Markup
    files: dict[str, str]


def lay_out(views: Sequence[tuple[PackedView, str]], *, size: int, page: str = "page.html") -> LinkedViews:
    """Return what the views of a page need.

    Parameters
    ----------
    views : sequence of (PackedView, str)
        With each the path of a file for it, ending in ``.js``, relative to the output folder.
    size : int
        Bytes of the rest of the page.
    page : str
        Path of the page, relative to the output folder.
    """
    if not views:
        return LinkedViews(Markup(""), {})
    inline = Parts()
    shared = {
        "colours": SLICES,
        "cortex": pack_cortex(inline) if any(view.description["vertices"] for view, _ in views) else None,
    }
    described: list[Document] = [dict(view.description) for view, _ in views]
    files: dict[str, str] = {}
    size += (
        SHARED_BYTES + _bytes(inline.texts) + sum(len(_text(document)) for document in (shared, *described))
    )
    # Maps of all views before the subjects' effects of any.
    for kind in ("maps", "effects"):
        for description, (view, path) in zip(described, views, strict=True):
            texts = getattr(view, kind).texts
            new = {key: text for key, text in texts.items() if key not in inline.texts}
            if size + _bytes(new) <= MAX_PAGE_BYTES:
                inline.texts.update(new)
                size += _bytes(new)
            else:
                beside = path.removesuffix(".js") + f"_{kind}.js"
                files[beside] = f"linkedParts({_text(new)});\n"
                description[f"{kind}File"] = posixpath.relpath(beside, posixpath.dirname(page) or ".")
                description[f"{kind}Bytes"] = len(files[beside])
    html = render(
        "linked.html",
        parts=inline.texts,
        shared=_text(shared),
        views=[(description["anchor"], _text(description)) for description in described],
    )
    return LinkedViews(html, files)


def _bytes(texts: dict[str, str]) -> int:
    return sum(map(len, texts.values()))


def _text(document: Document) -> Markup:
    """Return JSON that is safe inside a script element."""
    words = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(words.replace("<", "\\u003c").replace("&", "\\u0026"))
