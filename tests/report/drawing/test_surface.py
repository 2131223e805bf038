"""Maps on the cortex."""

import re

import numpy as np
from test_glass import read_png

from bidsapp.outputs.results import Volume
from bidsapp.report.drawing.surface import draw_surface

AFFINE = np.diag([4.0, 4, 4, 1])
AFFINE[:3, 3] = (-80, -120, -80)
N_GREYS = 64


def views(volume):
    figure = draw_surface(volume, limit=5.0, alt="a")
    return [read_png(address)[0] for address in re.findall(r'href="(data:[^"]+)"', figure.body)][:4]


def half_brain(side):
    values = np.zeros((40, 50, 45), np.float32)
    x = AFFINE[0, 3] + 4 * np.arange(40)
    values[(x < -6) if side == "left" else (x > 6)] = 4.0
    return Volume(values, AFFINE)


def coloured(picture):
    return (picture >= N_GREYS).sum() / (picture > 0).sum()


def test_left_values_colour_the_left_hemisphere_only():
    shares = [coloured(picture) for picture in views(half_brain("left"))]
    assert shares[0] > 0.8
    assert shares[2:] == [0, 0]


def test_right_values_colour_the_right_hemisphere_only():
    shares = [coloured(picture) for picture in views(half_brain("right"))]
    assert shares[:2] == [0, 0]
    assert shares[3] > 0.8


def test_anterior_is_left_in_the_left_outside_view_and_right_in_the_right_one():
    values = np.zeros((40, 50, 45), np.float32)
    values[:, 120 // 4 + 10 :] = 4.0  # y above 40 mm: frontal
    left, _, _, right = views(Volume(values, AFFINE))
    columns = np.arange(left.shape[1])
    assert columns[(left >= N_GREYS).any(axis=0)].mean() < left.shape[1] / 3
    assert np.arange(right.shape[1])[(right >= N_GREYS).any(axis=0)].mean() > right.shape[1] * 2 / 3


def test_an_empty_map_shows_the_grey_cortex_without_holes():
    for picture in views(Volume(np.zeros((4, 4, 4)), AFFINE)):
        inside = picture > 0
        assert (picture < N_GREYS).all()
        # Rows have few gaps: the notch before the temporal lobe.
        rows = [row[np.flatnonzero(row)[0] : np.flatnonzero(row)[-1] + 1] for row in inside if row.any()]
        assert np.concatenate(rows).mean() > 0.9
