"""Between a fitted contrast and its thresholds."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from bidsapp.group import shuffling as group_inference
from bidsapp.group.shuffling import (
    ShuffleMonitor,
    blocks_of_rows,
    describe_shuffles,
    find_smoothness,
    make_options,
)
from bidsapp.inference.statistics import STATISTICS
from bidsapp.records.maps import Geometry, GroupDesign, InferenceOptions
from bidsapp.settings.parts import GroupOptions, PermutationOptions


def test_defaults_of_the_command_line_are_those_of_the_engine():
    ours, engine = make_options(PermutationOptions(), GroupOptions()), InferenceOptions()
    same = ("n_shuffles", "alpha", "tail", "statistics", "cluster_forming_p", "connectivity", "tfce_powers")
    same += ("tfce_steps", "mass", "scale", "scheme", "block_mode", "tail_approximation", "stop_when_decided")
    assert {name: getattr(ours, name) for name in same} == {name: getattr(engine, name) for name in same}


def test_all_statistics_are_on_by_default():
    assert set(PermutationOptions().statistics) == set(STATISTICS)


def test_a_state_is_saved_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(group_inference, "SAVE_EVERY", 0.0)
    monitor = ShuffleMonitor(tmp_path / "logs" / "state.npz")
    monitor.save({"done": np.array(7)})
    assert ShuffleMonitor(tmp_path / "logs" / "state.npz").load()["done"] == 7
    monitor.finish()
    assert monitor.load() is None


@pytest.mark.parametrize("content", [b"PK broken", b"PK\x03\x04 cut", b""])
def test_a_broken_state_is_no_state(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    assert ShuffleMonitor(tmp_path / "state.npz").load() is None


def test_a_state_is_not_saved_at_every_batch(tmp_path):
    monitor = ShuffleMonitor(tmp_path / "state.npz")
    monitor.save({"done": np.array(7)})
    assert monitor.load() is None


class Fit:
    """The part of a planned fit that says who may be shuffled with whom."""

    def __init__(self, blocks=(), subjects=()):
        self.blocks = blocks
        self.subjects = subjects


@pytest.mark.parametrize(
    ("number", "words"),
    [(70, "70"), (518_400, "518,400"), (10461394944000, "more than 10^13"), (2**2000, "more than 10^602")],
)
def test_arrangements_are_told_as_people_write_numbers(number, words):
    told = {"ShuffleMode": "free", "IncompleteVoxels": 0, "SchemeReason": "so"}
    inference = SimpleNamespace(
        conventions=told, scheme="sign-flip", n_shuffles=5000, n_distinct=number, smallest_p=0.0002
    )
    said = f"5,000 sign flips of {words} that are distinct, smallest p 0.0002 (so)"
    assert describe_shuffles(inference) == said


def test_subjects_with_several_rows_are_blocks():
    design = GroupDesign(np.ones((4, 1)), (), clusters=np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(blocks_of_rows(Fit(), design), [0, 0, 1, 1])


def test_blocks_that_are_asked_for_go_first():
    design = GroupDesign(np.ones((4, 1)), (), clusters=np.array([0, 0, 1, 1]))
    fit = Fit(("b", "b", "a", "a"), ("s1", "s1", "s2", "s2"))
    np.testing.assert_array_equal(blocks_of_rows(fit, design), [1, 1, 0, 0])
    subjects = GroupDesign(np.ones((2, 1)), ())
    np.testing.assert_array_equal(blocks_of_rows(fit, subjects), [1, 0])


def test_subjects_with_one_row_each_are_no_blocks():
    assert blocks_of_rows(Fit(), GroupDesign(np.ones((3, 1)), (), clusters=np.arange(3))) is None


def test_smoothness_of_residuals_ignores_the_design(rng):
    geometry = Geometry(np.ones((20, 20, 20), bool), np.eye(4))
    noise = ndimage.gaussian_filter(rng.normal(size=(15, 20, 20, 20)), (0, 2, 2, 2)).reshape(15, -1)
    ones = np.ones((15, 1))
    plain, shifted = (find_smoothness(data, ones, geometry) for data in (noise, noise + 50))
    np.testing.assert_allclose(plain.fwhm_voxels, shifted.fwhm_voxels)
    np.testing.assert_allclose(plain.fwhm_voxels, 2 * 2.355, rtol=0.12)


def test_no_smoothness_without_degrees_of_freedom(rng):
    geometry = Geometry(np.ones((4, 4, 4), bool), np.eye(4))
    assert find_smoothness(rng.normal(size=(3, 64)), np.ones((3, 1)), geometry) is None
