"""The colours of the reports. Orange is positive and blue negative: told apart with any colour vision.

A palette is an array of RGBA bytes, shape (256, 4), for values coded as bytes by ``code_*``.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Matrix, Numbers

# On dark slices the strongest values are the brightest; on a transparent ground the darkest.
SLICES = ("#c9efff", "#5cb8ff", "#2a7de0", "#1b4fa8", "#b03a06", "#e8690b", "#ffa62b", "#ffe9a8")
DIVERGING = ("#123f85", "#3f97e8", "#b9d9f5", "#f7f7f7", "#f9d3ad", "#ee7f1a", "#8f2500")
GLASS = ("#123f85", "#1d5fb4", "#3f97e8", "#7fbdf2", "#f6b26b", "#ee7f1a", "#c8460a", "#8f2500")
SEQUENTIAL = ("#0d1b2a", "#1b4965", "#2a8f8a", "#7bc96f", "#f7e06e")
GREYS = ("#000000", "#ffffff")
# The eye does not tell more greys apart, and PNG packs fewer better.
N_GREYS, N_SIGNED = 64, 96
Bytes: TypeAlias = NDArray[np.uint8]


def ramp(colours: Sequence[str], n: int = 256) -> Bytes:
    """Return n RGB colours between the given ones, shape (n, 3), uint8."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], float)
    at = np.linspace(0, len(stops) - 1, n)
    return (
        np.stack([np.interp(at, range(len(stops)), stops[:, k]) for k in range(3)], axis=1)
        .round()
        .astype("u1")
    )


def opaque(colours: Sequence[str]) -> Bytes:
    """Return a palette without transparency."""
    return np.column_stack([ramp(colours), np.full(256, 255, "u1")])


def glass_palette(faintest: float = 0.0) -> Bytes:
    """Return the palette of glass brains: more opaque with the distance from 0, full from four fifths on.

    ``faintest`` is the opacity of the weakest values: 0 for whole maps, whose noise shall not hide the rest.
    """
    distance = np.abs(np.arange(256) - 128) / 127
    alpha = np.clip((distance - 0.2) / 0.6, faintest, 1) * np.where(distance > 0, 255, 0)
    return np.column_stack([ramp(GLASS), alpha.round().astype("u1")])


def code_signed(values: Numbers, limit: float) -> Bytes:
    """Return values from -limit to limit as bytes 1 to 255; 128 is zero and not a number."""
    scaled: Numbers = np.nan_to_num(values / limit if limit > 0 else values * 0.0)
    return (128 + np.clip(scaled, -1, 1) * 127).round().astype("u1")


def code_columns(matrix: Matrix, flat: float) -> Bytes:
    """Return each column as bytes from its smallest to its largest value; ``flat`` where it has only one."""
    low, high = matrix.min(axis=0), matrix.max(axis=0)
    scaled = np.where(high == low, flat, (matrix - low) / np.where(high == low, 1.0, high - low))
    return (np.nan_to_num(scaled) * 255).round().astype("u1")


def slice_palette() -> Bytes:
    """Return the palette of overlaid slices: greys, then negative, then positive."""
    both = ramp(SLICES, 2 * N_SIGNED)
    return np.column_stack([np.concatenate([ramp(GREYS, N_GREYS), both]), np.full(256, 255, "u1")])


def code_slice(background: Numbers, overlay: Numbers, limit: float) -> Bytes:
    """Return bytes for ``slice_palette``: the overlay where it is not zero, else the background (0 to 1)."""
    grey = (np.clip(background, 0, 1) * (N_GREYS - 1)).round()
    share = np.clip(np.abs(overlay) / limit, 0, 1) * (N_SIGNED - 1)
    signed = np.where(overlay > 0, N_GREYS + N_SIGNED + share, N_GREYS + N_SIGNED - 1 - share)
    return np.where(overlay != 0, signed.round(), grey).astype("u1")


def css_colours(share: float) -> tuple[str, str]:
    """Return ground and ink of a cell for a share of the strongest value, from -1 to 1, as CSS colours.

    The darkest are the strongest, as of all that is drawn on a page and not on an anatomy.
    """
    half = ramp(GLASS[4:] if share > 0 else GLASS[3::-1])
    rgb = half[int(min(abs(share), 1.0) * 255)]
    light = float(rgb @ [0.299, 0.587, 0.114]) > 140
    return "#" + bytes(rgb).hex(), "#000000" if light else "#ffffff"
