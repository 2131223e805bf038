"""PNG images with a palette, as data addresses for SVG and HTML."""

import base64
import struct
import zlib

import numpy as np

from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import Bytes

# What keeps the edges of cells sharp where a picture is stretched.
PIXELATED = "image-rendering:pixelated"


def encode_png(pixels: Bytes, palette: Bytes) -> bytes:
    """Return a PNG file.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width)
        The first row is the top.
    palette : ndarray of uint8, shape (256, 4)
    """
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    # Every row starts with the number of its filter: 0, none, the best for palettes.
    rows = np.concatenate([np.zeros((height, 1), "u1"), pixels], axis=1)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette[:, :3].tobytes()),
        (b"tRNS", palette[:, 3].tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 7)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def png_address(pixels: Bytes, palette: Bytes) -> str:
    """Return a PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels, palette)).decode()


def picture(
    x: float, y: float, width: float, height: float, pixels: Bytes, palette: Bytes, **look: svg.Value
) -> str:
    """Return pixels as an SVG image stretched over a box."""
    return svg.image(x, y, width, height, png_address(pixels, palette), **look)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
