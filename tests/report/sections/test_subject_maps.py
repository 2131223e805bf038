"""What the page of a subject shows of an estimate: thresholds, peaks, layers of its view."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from bidsapp.outputs.results import read_subject_results
from bidsapp.records.maps import Geometry
from bidsapp.report.linked.content import Effect
from bidsapp.report.pages import write_group_report, write_subject_report
from bidsapp.report.sections import subject_maps
from bidsapp.report.sections.subject_maps import Layer, list_peaks, make_rules, read_layer

SHAPE = (12, 10, 9)


def adjust(p):
    """Return q as Benjamini and Hochberg have it: the smallest p m / rank of those at least as large."""
    rank = np.argsort(np.argsort(p)) + 1
    return np.array([min(1, min(p[p >= value] * len(p) / rank[p >= value])) for value in p])


@pytest.fixture
def z(rng):
    values = rng.normal(size=SHAPE)
    values[2:5, 2:5, 2:4] += 6.0
    values[8:10, 6:8, 5:7] -= 5.0
    return values.ravel()


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def make_layer(z, test="t"):
    geometry = Geometry(np.ones(SHAPE, bool), np.diag([4.0, 4, 4, 1]))
    rng = np.random.default_rng(0)
    effect = Effect("effect", "%", z * 0.2, rng.uniform(0.1, 0.3, len(z)), 2.0)
    estimate = type("Estimate", (), {"test": test})
    return Layer(estimate, geometry, z, make_rules(z, signed=test == "t"), effect if test == "t" else None)


def test_thresholds_are_those_of_benjamini_and_hochberg_and_of_p(z):
    corrected, uncorrected = make_rules(z, signed=True)
    p = 2 * stats.norm.sf(np.abs(z))
    np.testing.assert_allclose(corrected.p, adjust(p), rtol=1e-9)
    assert np.array_equal(corrected.survives, adjust(p) <= 0.05)
    assert np.array_equal(uncorrected.survives, np.abs(z) >= stats.norm.isf(0.001))
    for rule in (corrected, uncorrected):
        assert rule.survives.any()
        assert np.array_equal(np.abs(z) >= rule.cutoff, rule.survives)


def test_f_has_the_upper_tail_alone(z):
    corrected, uncorrected = make_rules(z, signed=False)
    assert not np.any(z[corrected.survives] < 0)
    assert np.array_equal(uncorrected.survives, z >= stats.norm.isf(0.001))


def test_nothing_survives_where_there_is_nothing(rng):
    for rule in make_rules(rng.normal(size=200) * 0.5, signed=True):
        assert not rule.survives.any()
        assert rule.cutoff is None


def test_peaks_are_listed_with_the_numbers_of_their_voxels(z):
    layer = make_layer(z)
    table = list_peaks(layer, layer.rules[0], labelled=False)
    assert table["n_clusters"] == sum(row["n_voxels"] is not None for row in table["rows"])
    assert sum(row["n_voxels"] or 0 for row in table["rows"]) == layer.rules[0].survives.sum()
    sizes = [row["n_voxels"] for row in table["rows"] if row["n_voxels"]]
    assert sizes == sorted(sizes, reverse=True)
    for row in table["rows"]:
        point = np.ravel_multi_index((np.array(row["at"]) / 4).astype(int), SHAPE)
        assert float(row["z"].replace("−", "-")) == pytest.approx(z[point], abs=0.0051)
        low, high = (float(words.replace("−", "-")) for words in row["interval"].split(", "))
        assert (low + high) / 2 == pytest.approx(0.2 * z[point], abs=0.0101)
        assert (high - low) / 4 == pytest.approx(layer.effect.errors[point], abs=0.0051)
        assert row["sign"] == ("positive" if z[point] > 0 else "negative")


def test_a_cluster_has_few_peaks_and_a_table_few_rows(z, monkeypatch):
    layer = make_layer(z)
    whole = list_peaks(layer, layer.rules[1], labelled=False)
    assert len(whole["rows"]) <= whole["n_peaks"]
    monkeypatch.setattr(subject_maps, "N_ROWS", 2)
    short = list_peaks(layer, layer.rules[1], labelled=False)
    assert short["rows"] == whole["rows"][:2]
    assert (short["n_peaks"], short["n_clusters"]) == (whole["n_peaks"], whole["n_clusters"])
    monkeypatch.setattr(subject_maps, "N_ROWS", 99)
    monkeypatch.setattr(subject_maps, "N_PEAKS", 1)
    rows = list_peaks(layer, layer.rules[1], labelled=False)["rows"]
    assert len(rows) == whole["n_clusters"]


def test_t_of_intervals_with_many_degrees_of_freedom_is_exact_enough():
    dof = np.random.default_rng(0).uniform(2, 300, 3 * subject_maps.N_DOF)
    found = subject_maps._t_quantile(dof)
    np.testing.assert_allclose(found, stats.t.ppf(0.975, dof), atol=1e-5)


def test_an_estimate_is_read_where_it_has_values(output_folder):
    results = read_subject_results(output_folder, "01")
    estimate = results.record.estimates[-1]
    layer = read_layer(results, estimate, whole=True)
    volume = results.read_map(estimate.maps["z"]).values
    assert np.array_equal(layer.volume().values, np.nan_to_num(volume))
    assert layer.effect.quantile == pytest.approx(stats.t.ppf(0.975, 200))
    assert read_layer(results, estimate, whole=False).effect is None


def views_of(page):
    parts = page.read_text(encoding="utf-8").split('class="linked-view">')[1:]
    return [json.loads(part.partition("</script>")[0]) for part in parts]


def test_each_combined_estimate_has_a_view_with_its_runs_as_layers(output_folder):
    views = views_of(output_folder / "sub-01.html")
    assert [view["layer"] for view in views] == ["combined"] * 2 + [
        "task stroop, run 1",
        "task stroop, run 2",
    ] * 2
    assert [view["anchor"] for view in views] == [f"contrast-{k}" for k in (1, 2, 1, 1, 2, 2)]
    assert all(view["effect"] and view["rules"][0]["p"] for view in views[:2])
    assert not any(view["effect"] or view["rules"][0]["p"] for view in views[2:])
    assert len({view["limit"] for view in views if view["anchor"] == "contrast-1"}) == 1


def test_a_page_of_many_contrasts_has_fewer_pictures_and_all_views(output_folder, tmp_path, monkeypatch):
    shutil.copytree(output_folder, tmp_path / "out")
    whole = write_subject_report(tmp_path / "out", "02").read_text(encoding="utf-8")
    n_views = len(views_of(tmp_path / "out/sub-02.html"))
    monkeypatch.setattr("bidsapp.report.sections.subject_contrasts.MANY", 1)
    short = write_subject_report(tmp_path / "out", "02").read_text(encoding="utf-8")
    assert len(views_of(tmp_path / "out/sub-02.html")) == n_views
    assert [text.count("Each run by itself") for text in (whole, short)] == [2, 0]
    assert [text.count('aria-label="Axial slices of') for text in (whole, short)] == [4, 2]
    assert [text.count("the views have both") for text in (whole, short)] == [0, 1]


def test_a_page_with_more_than_it_holds_stays_below_its_limit(output_folder, tmp_path, monkeypatch):
    shutil.copytree(output_folder, tmp_path / "out")
    path = write_subject_report(tmp_path / "out", "01")
    limit = path.stat().st_size - 50_000
    monkeypatch.setattr("bidsapp.report.linked.page.MAX_PAGE_BYTES", limit)
    write_subject_report(tmp_path / "out", "01")
    assert list((tmp_path / "out/sub-01/figures").glob("*.js"))
    assert path.stat().st_size <= limit


def test_a_subject_in_native_space_has_no_regions_and_no_cortex(output_folder, tmp_path):
    shutil.copytree(output_folder, tmp_path / "out")
    path = tmp_path / "out/logs/sub-01_participant.json"
    path.write_text(path.read_text().replace('"space": "MNI152NLin2009cAsym"', '"space": "T1w"'))
    text = write_subject_report(tmp_path / "out", "01").read_text(encoding="utf-8")
    views = views_of(tmp_path / "out/sub-01.html")
    assert len(views) == 6
    assert all(view["vertices"] is None and view["atlases"] == [] for view in views)
    assert {view["underlays"][0]["name"] for view in views} == {"map of tSNR"}
    assert "Anatomical Labeling" not in text
    assert ">Peak</th>" in text


def test_a_page_without_room_has_its_maps_beside_it_which_the_group_page_leaves_there(
    output_folder, tmp_path, monkeypatch
):
    shutil.copytree(output_folder, tmp_path / "out")
    monkeypatch.setattr("bidsapp.report.linked.page.MAX_PAGE_BYTES", 0)
    views = views_of(write_subject_report(tmp_path / "out", "01"))
    paths = {view["mapsFile"] for view in views}
    assert len(paths) == len(views)
    assert all(path.startswith("sub-01/figures/") and path.endswith("_view_maps.js") for path in paths)
    write_group_report(tmp_path / "out")
    assert all((tmp_path / "out" / path).is_file() for path in paths)
    monkeypatch.undo()
    write_subject_report(tmp_path / "out", "01")
    assert not list((tmp_path / "out/sub-01").rglob("*.js"))
