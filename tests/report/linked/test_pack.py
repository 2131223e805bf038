"""What a linked view packs comes out again, to the digits that it prints."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.surface import mesh
from bidsapp.report.linked.cortex import SIDES, pack_cortex, voxels_of_vertices
from bidsapp.report.linked.pack import (
    Parts,
    code_counts,
    code_p,
    code_percent,
    code_rows,
    code_statistic,
    code_steps,
    pack,
    unpack,
)
from bidsapp.report.linked.page import lay_out
from bidsapp.report.linked.view import pack_view
from bidsapp.report.render import render, show_p

sys.path.insert(0, str(Path(__file__).parent))
from views import N_SHUFFLES, make_geometry, make_view  # noqa: E402

RNG = np.random.default_rng(0)


def value(parts, ref):
    return unpack(parts.texts[ref["part"]], ref["type"])


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "uint32"])
def test_numbers_come_out_as_they_went_in(kind):
    limits = np.iinfo(kind)
    numbers = RNG.integers(limits.min, limits.max, 1000, kind, endpoint=True)
    assert np.array_equal(unpack(pack(numbers), kind), numbers)


def test_equal_arrays_are_held_once():
    parts = Parts()
    one, other = (parts.add(np.arange(9, dtype=np.int16)) for _ in range(2))
    assert one == other
    assert len(parts.texts) == 1


def test_steps_keep_a_statistic_to_a_thousandth_and_what_is_missing():
    values = np.array([1.2345, -3.0004, np.nan, 0.0])
    coded = code_steps(values, 0.001)
    assert coded.dtype == np.int16
    assert coded.tolist() == [1234, -3000, np.iinfo(np.int16).min, 0]
    assert code_steps(np.array([1000.0, np.inf]), 0.001).tolist() == [1_000_000, np.iinfo(np.int32).max]


def test_a_statistic_is_printed_as_it_was():
    values = np.concatenate(
        [np.random.default_rng(5).normal(0, 3, 20_000), [2.0049, 2.0051, -2.0049, 2.125, np.nan]]
    )
    back = code_statistic(values) * 0.001
    shown, known = ([f"{v:.2f}".replace("-0.00", "0.00") for v in each[:-1]] for each in (back, values))
    assert shown == known


def test_effects_and_limits_are_kept_as_they_are_printed():
    view = make_view("strip")
    packed = pack_view(view)
    refs, effect = packed.description["effect"], view.effect
    digits = value(packed.maps, refs["digits"])
    # Two digits of the standard error, three where it is rounded up to 10.
    pairs = zip(effect.errors, digits, strict=True)
    assert {len(f"{error:.{d}f}".replace(".", "").lstrip("0")) for error, d in pairs} <= {2, 3}
    half = effect.quantile * effect.errors
    known = {"values": effect.values, "low": effect.values - half, "high": effect.values + half}
    for key, values in known.items():
        back = value(packed.maps, refs[key]) / 10.0**digits
        assert np.all(np.abs(back - values) <= 0.5001 * 10.0**-digits)


@pytest.mark.parametrize("p", [0.0, 0.00009, 0.0001, 0.00049, 0.00099, 0.0012, 0.0125, 0.5004, 0.9996, 1.0])
def test_p_is_kept_as_it_is_printed(p):
    (code,) = code_p(np.array([p]))
    assert show_p(code / 10_000) == show_p(p)


def test_shares_are_kept_as_they_are_printed():
    shares = np.append(np.arange(0, 1.0005, 0.0005).round(4), np.nan)
    stored = code_percent(shares.astype(np.float32))
    assert [f"{v} %" for v in stored[:-1]] == [f"{round(100 * v, 6):.0f} %" for v in shares[:-1].tolist()]
    assert stored[-1] == 255


def test_missing_p_is_none_of_the_printed_ones():
    assert code_p(np.array([np.nan])).tolist() == [65535]


def test_shares_of_shuffles_are_counts_through_their_storage_as_logarithms():
    counts = np.arange(1, 10_001)
    stored = 10.0 ** -(-np.log10(counts / 10_000)).astype(np.float32).astype(float)
    assert np.array_equal(code_counts(stored, 10_000), counts)
    assert code_counts(np.array([np.nan, 0.5]), 64).tolist() == [0, 32]


def test_p_of_another_kind_is_no_count():
    assert code_counts(np.array([0.0123]), 64) is None
    assert code_counts(np.array([0.0]), 64) is None


def decode(rows):
    values = (rows.start + rows.codes / 254 * rows.span) * rows.step
    return np.where(rows.codes == 255, np.nan, values)


def test_effects_of_subjects_are_kept_within_the_error_that_is_stated():
    rng = np.random.default_rng(3)
    values = rng.normal(0, rng.gamma(4, 0.5, 5000), (20, 5000))
    values[3, 7] = np.nan
    rows = code_rows(values)
    back = decode(rows)
    assert np.isnan(back[3, 7])
    error = np.nanmax(np.abs(back - values) / np.nanstd(values, axis=0, ddof=1))
    assert error == pytest.approx(rows.error)
    assert error < 0.016


def test_equal_and_absent_effects_are_kept():
    rows = code_rows(np.array([[2.0, np.nan], [2.0, np.nan]]))
    assert decode(rows)[:, 0] == pytest.approx(2, abs=1e-3)
    assert np.isnan(decode(rows)[:, 1]).all()
    assert rows.error == 0


def test_cortex_comes_out_again():
    parts = Parts()
    packed = pack_cortex(parts)
    positions = value(parts, packed["positions"]).reshape(2, 3, -1) * packed["positions"]["step"]
    for k, side in enumerate(SIDES):
        vertices, faces = mesh("infl", side)
        assert np.abs(positions[k].T - vertices).max() <= 0.0251
        ref = packed["triangles"][min(k, len(packed["triangles"]) - 1)]
        assert np.array_equal(value(parts, ref).reshape(3, -1).astype(int).cumsum(axis=1).T, faces)


def test_a_vertex_shows_what_survives_before_what_is_larger():
    geometry = make_geometry(4.0)
    values = np.random.default_rng(1).normal(0, 1, geometry.n_points)
    first = np.random.default_rng(2).random(geometry.n_points) < 0.3
    plain, chosen = (voxels_of_vertices(geometry, values, mask) for mask in (None, first))
    assert np.array_equal(plain < 0, chosen < 0)
    known = chosen >= 0
    assert known.mean() > 0.5
    assert first[chosen[known]].sum() > 1.2 * first[plain[known]].sum()
    assert np.all(first[chosen[known]] | ~first[plain[known]])
    assert np.all(np.abs(values[plain[known]]) >= np.abs(values[chosen[known]]))


def turn_rule(rule, order):
    maps = {key: getattr(rule, key) for key in ("survives", "p", "share")}
    return replace(rule, **{key: None if values is None else values[order] for key, values in maps.items()})


def turned(view):
    """Return a view whose grid runs from right to left, with the same values at the same places."""
    mask, affine = view.geometry.mask[::-1], view.geometry.affine.copy()
    affine[0, 3] += affine[0, 0] * (mask.shape[0] - 1)
    affine[0, 0] *= -1
    geometry = Geometry(mask, affine)
    places = {tuple(place): k for k, place in enumerate(view.geometry.coordinates())}
    order = np.array([places[tuple(place)] for place in geometry.coordinates()])
    return replace(
        view,
        geometry=geometry,
        statistic=replace(view.statistic, values=view.statistic.values[order]),
        rules=[turn_rule(r, order) for r in view.rules],
        effect=replace(view.effect, values=view.effect.values[order], errors=view.effect.errors[order]),
        detectable=replace(view.detectable, values=view.detectable.values[order]),
        size=replace(view.size, **{k: getattr(view.size, k)[order] for k in ("values", "low", "high")}),
        atlases=[replace(a, regions=a.regions[order], percent=a.percent[order]) for a in view.atlases],
        subjects=replace(view.subjects, values=view.subjects.values[:, order]),
    )


def test_the_direction_of_the_grid_changes_nothing():
    view = make_view("strip")
    one, other = pack_view(view), pack_view(turned(view))
    assert one.description == other.description
    assert one.maps.texts == other.maps.texts
    assert one.effects.texts == other.effects.texts


def test_maps_and_survivors_come_out_at_their_voxels():
    view = make_view("strip")
    packed = pack_view(view)
    description, maps = packed.description, packed.maps
    shape = description["grid"]["shape"]
    mask = np.unpackbits(value(maps, description["grid"]["mask"]), bitorder="little")[: np.prod(shape)]
    assert np.array_equal(mask.reshape(shape).astype(bool), view.geometry.mask)
    t = value(maps, description["statistic"]["map"]) * description["statistic"]["map"]["step"]
    assert np.abs(t - view.statistic.values).max() <= 0.0010001
    bits = value(maps, description["survivors"])
    for k, rule in enumerate(view.rules):
        assert np.array_equal((bits >> k) & 1, rule.survives)
    counts = value(maps, description["rules"][0]["p"])
    assert np.array_equal(counts / N_SHUFFLES, view.rules[0].p)
    assert description["rules"][1]["shuffles"] is None


def bytes_of(views):
    """Return the bytes that count: without the script and the template, which every page has."""
    empty = len(render("linked.html", parts={}, shared="", views=[]))
    return len(views.html) - empty


def test_what_a_page_has_no_room_for_lies_beside_it(monkeypatch):
    view = pack_view(make_view("strip"))
    effects = sum(map(len, view.effects.texts.values()))
    whole = lay_out([(view, "a/b.js")], size=0)
    assert whole.files == {}
    monkeypatch.setattr("bidsapp.report.linked.page.SHARED_BYTES", 0)
    monkeypatch.setattr("bidsapp.report.linked.page.MAX_PAGE_BYTES", bytes_of(whole) - effects // 2)
    beside = lay_out([(view, "a/b.js")], size=0)
    assert list(beside.files) == ["a/b_effects.js"]
    assert len(beside.html) < len(whole.html) - effects // 2
    assert all(key in beside.files["a/b_effects.js"] for key in view.effects.texts)
    assert all(f'id="part-{key}"' in beside.html for key in view.maps.texts)


def test_words_of_a_view_end_no_script():
    view = replace(make_view("F"), words=("</script><b>", "&"))
    assert "</script><b>" not in lay_out([(pack_view(view), "x.js")], size=0).html


# Bytes of each part at 4 mm, 29,446 voxels and 16 subjects, as the design measured them.
DESIGN = {
    "t": 68_116,
    "effect and errors": 149_932,
    "vertices": 47_104,
    "rows": 604_124,
    "scale": 143_628,
}


def test_parts_are_as_small_as_designed():
    view = make_view("strip", step=4.0, n=16)
    share = 29_446 / view.geometry.n_points
    packed = pack_view(view)
    description = packed.description
    size = {key: len(text) for key, text in (packed.maps.texts | packed.effects.texts).items()}
    effect, subjects = description["effect"], description["subjects"]
    refs = {
        "t": [description["statistic"]["map"]],
        "effect and errors": [effect[key] for key in ("digits", "values", "low", "high")],
        "rows": [subjects["codes"]],
        "scale": [subjects["start"], subjects["span"]],
    }
    measured = {name: share * sum(size[ref["part"]] for ref in found) for name, found in refs.items()}
    measured["vertices"] = size[description["vertices"]["part"]]
    assert {name: round(n) for name, n in measured.items() if n > 1.1 * DESIGN[name]} == {}
