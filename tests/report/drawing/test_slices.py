"""Slices: the right plane, neurological, the map on the anatomy."""

import re

import numpy as np
import pytest
from test_glass import read_png

from bidsapp.outputs.results import Volume
from bidsapp.report.drawing.background import Background, crop, from_volume, template
from bidsapp.report.drawing.slices import Slicer, choose_cuts, draw_cut, draw_mosaic

GRID = np.array([[1.0, 0, 0, -20], [0, 1, 0, -30], [0, 0, 1, -10], [0, 0, 0, 1]])
N_GREYS = 64


@pytest.fixture
def anatomy():
    return Background(np.full((41, 61, 21), 0.5, np.float32), GRID, "flat")


def pictures(figure):
    return [read_png(address)[0] for address in re.findall(r'href="(data:[^"]+)"', figure.body)][:-1]


def test_a_voxel_is_drawn_at_its_place_in_all_planes(anatomy):
    values = np.zeros((41, 61, 21), np.float32)
    values[5, 40, 15] = 3.0  # -15, 10, 5 mm
    x, y, z = pictures(draw_cut(Slicer(anatomy, Volume(values, GRID), limit=3.0), (-15, 10, 5), alt="a"))
    assert np.argwhere(x >= N_GREYS).tolist() == [[21 - 1 - 15, 40]]
    assert np.argwhere(y >= N_GREYS).tolist() == [[21 - 1 - 15, 5]]
    assert np.argwhere(z >= N_GREYS).tolist() == [[61 - 1 - 40, 5]]


def test_a_coarse_map_covers_all_pixels_of_its_voxel(anatomy):
    values = np.zeros((11, 16, 6), np.float32)
    values[5, 8, 3] = -3.0
    coarse = np.diag([4.0, 4, 4, 1])
    coarse[:3, 3] = GRID[:3, 3]
    *_, z = pictures(draw_cut(Slicer(anatomy, Volume(values, coarse), limit=3.0), (0, 2, 2), alt="a"))
    assert (z >= N_GREYS).sum() == 16


def test_positions_outside_the_anatomy_are_black_not_wrong(anatomy):
    empty = Volume(np.zeros((41, 61, 21)), GRID)
    x, _, _ = pictures(draw_cut(Slicer(anatomy, empty, limit=3.0), (300, 10, 5), alt="a"))
    assert not x.any()


def test_cuts_spread_over_the_brain_of_the_map():
    values = np.zeros((41, 61, 21))
    values[:, :, 4:15] = 1.0
    cuts = choose_cuts(Volume(values, GRID), 3)
    assert cuts == sorted(cuts)
    assert cuts[0] > -6
    assert cuts[-1] < 5


def test_mosaic_has_a_picture_a_cut(anatomy):
    empty = Volume(np.zeros((41, 61, 21)), GRID)
    assert len(pictures(draw_mosaic(Slicer(anatomy, empty, limit=3.0), [-5, 0, 5], alt="a"))) == 3


@pytest.mark.parametrize(("signed", "numbers"), [(True, ["+3", "0", "−3"]), (False, ["3", "0"])])
def test_colour_bar_goes_below_zero_where_the_map_may(anatomy, signed, numbers):
    empty = Volume(np.zeros((41, 61, 21)), GRID)
    body = draw_mosaic(Slicer(anatomy, empty, limit=3.0, signed=signed), [0], alt="a").body
    assert set(re.findall(r">([^<> ]+)</text>", body)) - {"L", "R"} == set(numbers)


def test_crop_keeps_positions():
    values = np.zeros((30, 30, 30))
    values[10:20, 12:18, 9:22] = np.random.default_rng(0).random((10, 6, 13))
    small, affine = crop(values, GRID, margin_mm=2)
    place = GRID @ [15, 15, 15, 1]
    voxel = np.rint(np.linalg.solve(affine, place))[:3].astype(int)
    assert small[tuple(voxel)] == values[15, 15, 15]
    assert small.shape == (14, 10, 17)


def test_template_is_a_brain_in_mni_space():
    brain = template()
    origin = np.rint(np.linalg.solve(brain.affine, [0, 0, 0, 1]))[:3].astype(int)
    assert brain.values.min() >= 0
    assert brain.values.max() == 1
    assert all(60 < n < 140 for n in (origin[0], origin[1], origin[2]))


def test_an_empty_image_makes_a_black_background():
    assert not from_volume(Volume(np.zeros((4, 4, 4)), GRID), "empty").values.any()
