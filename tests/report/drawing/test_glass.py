"""Glass brains: what is drawn, where, in which colour."""

import base64
import re
import struct
import zlib

import numpy as np
import pytest

from bidsapp.outputs.results import Volume
from bidsapp.report.drawing.glass import draw_glass_brain, upright

STEP = 4.0
AFFINE = np.array([[STEP, 0, 0, -72], [0, STEP, 0, -108], [0, 0, STEP, -72], [0, 0, 0, 1]])


def read_png(address):
    """Return the palette indices of a PNG that ``encode_png`` wrote, and its palette as RGBA."""
    data = base64.b64decode(address.split(",")[1])
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks[data[at + 4 : at + 8]] = data[at + 8 : at + 8 + size]
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), "u1").reshape(height, width + 1)[:, 1:]
    colours = np.frombuffer(chunks[b"PLTE"], "u1").reshape(-1, 3)
    return rows, np.column_stack([colours, np.frombuffer(chunks[b"tRNS"], "u1")])


def views(figure):
    """Return the four pictures of a glass brain as palette indices, and their palette."""
    found = [read_png(address) for address in re.findall(r'href="(data:[^"]+)"', figure.body)]
    return [rows for rows, _ in found[:4]], found[0][1]


@pytest.fixture
def one_voxel():
    values = np.zeros((37, 46, 40), np.float32)
    values[8, 30, 25] = 5.0  # x = -40: left
    return Volume(values, AFFINE)


def test_a_left_voxel_is_in_the_left_view_and_not_in_the_right_one(one_voxel):
    (left, back, right, top), _ = views(draw_glass_brain(one_voxel, limit=5.0, alt="a"))
    assert (left != 128).sum() == 1
    assert (right != 128).sum() == 0
    assert (back != 128).sum() == (top != 128).sum() == 1


def test_pictures_have_up_above_and_left_at_the_left(one_voxel):
    (_, back, _, top), _ = views(draw_glass_brain(one_voxel, limit=5.0, alt="a"))
    assert np.argwhere(back != 128).tolist() == [[40 - 1 - 25, 8]]
    assert np.argwhere(top != 128).tolist() == [[46 - 1 - 30, 8]]


def test_orientation_of_the_grid_does_not_matter(one_voxel):
    flipped = one_voxel.values[::-1].transpose(1, 0, 2)
    affine = AFFINE[:, [1, 0, 2, 3]].copy()
    affine[:3, 1] = [-STEP, 0, 0]
    affine[0, 3] = -72 + STEP * 36
    turned = draw_glass_brain(Volume(flipped, affine), limit=5.0, alt="a")
    assert turned.body == draw_glass_brain(one_voxel, limit=5.0, alt="a").body


def test_upright_keeps_every_value_at_its_place():
    rng = np.random.default_rng(0)
    values, affine = (
        rng.normal(size=(3, 4, 5)),
        np.array([[0, -2.0, 0, 7], [0, 0, 3, 1], [-4, 0, 0, 9], [0, 0, 0, 1]]),
    )
    turned, straight = upright(values, affine)
    place = affine @ [2, 1, 3, 1]
    voxel = np.rint(np.linalg.solve(straight, place))[:3].astype(int)
    assert turned[tuple(voxel)] == values[2, 1, 3]
    assert np.all(np.diag(straight) > 0)


def test_the_value_farthest_from_zero_wins_with_its_sign():
    values = np.zeros((37, 46, 40), np.float32)
    values[5, 20, 20], values[6, 20, 20] = 2.0, -4.0
    (left, _, _, _), _ = views(draw_glass_brain(Volume(values, AFFINE), limit=4.0, alt="a"))
    assert left.min() == 1
    assert left.max() == 128


def test_nothing_and_not_a_number_are_transparent(one_voxel):
    values = np.full_like(one_voxel.values, np.nan)
    pictures, palette = views(draw_glass_brain(Volume(values, AFFINE), limit=5.0, alt="a", faintest=0.5))
    assert all((picture == 128).all() for picture in pictures)
    assert palette[128, 3] == 0
    assert palette[[1, 127, 129, 255], 3].min() > 100


def test_positive_is_warm_and_negative_is_cold():
    _, palette = views(draw_glass_brain(Volume(np.ones((4, 4, 4)), AFFINE), limit=5.0, alt="a"))
    colours = palette.astype(int)
    assert np.all(colours[140:, 0] > colours[140:, 2])
    assert np.all(colours[1:116, 2] > colours[1:116, 0])
