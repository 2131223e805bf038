"""The columns of a table of results by kind of test, its numbers and its words."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from bidsapp.outputs.results import read_group_results
from bidsapp.report.render import FigureBook, show_p
from bidsapp.report.sections.contrast import peaks, table, thresholds, where
from bidsapp.report.sections.contrast.columns import MORE, Rows, make_columns, name_p, name_place, show
from bidsapp.report.sections.contrast.shown import Shown, first_region, label_of
from bidsapp.report.sections.contrast.verdict import make_section as make_verdict
from bidsapp.report.sections.contrast.verdict import verdict
from bidsapp.tables.clusters import FORMED
from bidsapp.vocabulary.thresholds import THRESHOLDS

PLACE = {"peak_x": [-48.4, 28.0], "peak_y": [-56.0, 0.2], "peak_z": [-8.0, -0.3]}
CLUSTER = {"cluster_id": 1, "n_voxels": 1234, "volume_mm3": 78976.0, "tdp": 0.25}
CLUSTER |= {"centre_x": -40.6, "centre_y": -50.0, "centre_z": 0.2}


def make_rows(method="maxTFCE", *, test="t", dof=12.0, main=True, kind="mean", units="%"):
    """Return rows of two peaks of a cluster, with columns of the kind of a test."""
    statistic = test
    own = THRESHOLDS[method].column
    others = {
        f"{'q' if row.controls == 'FDR' else 'p'}_{row.name}": [0.0125, 0.5]
        for row in THRESHOLDS.values()
        if row.column and row.name != method
    }
    values = {statistic: [-9.994, 5.0], "z": [-5.094, 3.0], "partialrsquare": [0.9604, 0.25]}
    if test == "t":
        values |= {"effect": [-1.2249, 0.5], "effect_se": [0.1, 0.021], "g": [-4.73, 0.0]}
        values |= {"effect_low": [-1.489, 0.46], "effect_high": [-0.96, 0.54]}
    frame = pd.DataFrame(
        {**CLUSTER, "peak": [1, 2], **PLACE, **({own: [0.012, 0.00031]} if own else {}), **values, **others}
        | ({} if THRESHOLDS[method].is_formed else {FORMED: [1067.0, 0.0]})
        | {"sign": ["negative", "positive"], "aal": ["Temporal_Inf_L", "no_label"], "other": ["A_1", "B"]}
    )
    threshold = SimpleNamespace(method=method, title="TFCE, FWE", statistic=statistic, tail="two", alpha=0.05)
    own = {"main": threshold, "thresholds": (threshold,), "usable": (threshold,)} if main else {"main": None}
    contrast = SimpleNamespace(
        **{"test": test, "dof": dof, "units": units, "thresholds": (), "usable": ()} | own
    )
    hypothesis = SimpleNamespace(kind=kind, quantity={"groups": "difference"}.get(kind, kind))
    about = {"aal": {"LongName": "Automated labels (AAL)"}}
    return Rows(contrast, threshold, frame, hypothesis, about)


def seen(rows):
    """Return the headings that are always seen, in their order."""
    return [column.head for column in make_columns(rows) if MORE not in column.looks]


START = ["Region (AAL)", "Side", "voxels", "p TFCE (main)", "p cluster size", "k", "p height", "FDR q"]


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ({"units": "% signal change"}, ["t(12)", "z", "mean, %", "95 % interval", "g"]),
        ({"kind": "groups", "units": None}, ["t(12)", "z", "difference", "95 % interval", "g"]),
        (
            {"kind": "slope", "units": "% signal change per unit of age"},
            ["t(12)", "z", "slope, % per unit of age", "95 % interval", "partial r"],
        ),
        ({"test": "F", "dof": [2, 14.0]}, ["F(2, 14)", "z", "partial R²"]),
        (
            {"test": "F", "dof": [2, None], "dof_": None},
            ["F", "z", "partial R²", "dof"],
        ),
    ],
    ids=["mean", "difference", "slope", "F", "F of different dof"],
)
def test_columns_by_kind_of_test(kind, columns):
    if kind.pop("dof_", 0) is None:
        rows = make_rows(**kind)
        rows = replace(rows, frame=rows.frame.assign(dof=[13.42, 12.0]))
        dof = next(column for column in make_columns(rows) if column.head == "dof")
        assert dof.cells == ["2, 13.4", "2, 12"]
    else:
        rows = make_rows(**kind)
    assert seen(rows) == [*START, *columns, "x", "y", "z"]


@pytest.mark.parametrize(
    ("method", "level", "name"),
    [
        ("maxTFCE", "peak", "p TFCE (main)"),
        ("maxT", "peak", "p height (main)"),
        ("maxSize", "cluster", "p cluster size (main)"),
        ("rftSize", "cluster", "p RFT cluster size (main)"),
        ("fdrBH", "peak", "FDR q (main)"),
        ("uncorrected", "peak", "p uncorrected (main)"),
        ("ari", "cluster", "active share > 0 (main)"),
    ],
)
def test_the_p_of_the_own_threshold_is_seen_marked_and_named(method, level, name):
    (own,) = (column for column in make_columns(make_rows(method)) if "main" in column.looks)
    assert (own.head, own.level) == (name, level)
    assert MORE not in own.looks
    (other,) = (column for column in make_columns(make_rows(method, main=False)) if "main" in column.looks)
    assert other.head == name.removesuffix(" (main)")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("maxTFCE", ["p TFCE (main)", "p cluster size", "k", "p height", "FDR q"]),
        ("maxT", ["p height (main)", "p cluster size", "k", "FDR q"]),
        ("maxSize", ["p cluster size (main)", "p height", "FDR q"]),
        ("fdrBH", ["FDR q (main)", "p cluster size", "k", "p height"]),
        ("ari", ["active share > 0 (main)", "p cluster size", "p height", "FDR q"]),
    ],
)
def test_one_p_of_each_kind_is_seen(method, expected):
    heads = seen(make_rows(method))
    assert heads[3 : heads.index("t(12)")] == expected


def test_p_of_other_clusters_are_told_from_those_of_the_table(shown):
    formed = tuple(replace(one, forming_p=0.002) for one in shown.contrast.thresholds)
    rows = replace(make_rows(), contrast=replace(shown.contrast, thresholds=formed))
    notes = " ".join(table._notes(shown, rows))
    named = "p cluster mass, p cluster size and p RFT cluster size"
    around = "that is formed around the peak at one-sided p ≤ 0.002, not of the cluster of this table."
    assert f"{named} are of the cluster (k voxels) {around}" in notes
    assert (
        "Active shares are lower bounds for the clusters of this table, together with a confidence of"
        in notes
    )
    own = " ".join(table._notes(shown, replace(make_rows("maxSize"), contrast=shown.contrast)))
    assert "around the peak" not in own
    assert {c.level for c in make_columns(rows) if c.head == "p cluster size"} == {"peak"}
    assert {c.level for c in make_columns(make_rows("maxMass")) if c.head == "p cluster size"} == {"cluster"}


def test_nothing_of_the_file_is_missing_with_all_columns():
    rows = make_rows()
    rows = replace(rows, frame=rows.frame.assign(unknown=[1.0, 2.0]))
    heads = [column.head for column in make_columns(rows)]
    names = [name_p(method) for method, row in THRESHOLDS.items() if row.column and method != "maxTFCE"]
    assert set(heads) > {
        *names,
        "mm³",
        "centre",
        "active, at least",
        "standard error",
        "partial r",
        "other",
        "unknown",
    }
    assert len(heads) == len(set(heads) - {"z"}) + 2


def test_the_region_is_that_of_the_next_atlas_where_the_first_has_none():
    frame = make_rows().frame.assign(aal=["no_label", "no_label"], other=["100% Brain-Stem", "no_label"])
    rows = replace(make_rows(), frame=frame)
    (region,) = [column for column in make_columns(rows) if column.head.startswith("Region")]
    assert region.cells == ["Brain-Stem 100 % (other)", "No label"]
    assert [first_region(label_of(row)) for row in frame.to_dict("records")] == ["Brain-Stem", ""]


def test_p_of_a_threshold_that_cannot_be_used_is_not_shown():
    rows = make_rows()
    rft = SimpleNamespace(method="rftSize")
    rows.contrast.thresholds = (*rows.contrast.thresholds, rft)
    heads = {column.head for column in make_columns(make_rows())}
    assert heads - {column.head for column in make_columns(rows)} == {"p RFT cluster size"}


def test_numbers_are_those_of_papers():
    cells = {column.name: column.cells for column in make_columns(make_rows())}
    assert cells["voxels"] == ["1,234", ""]
    assert cells["mm³"] == ["78,976", ""]
    assert cells["centre"] == ["−41, −50, 0", ""]
    assert cells["active, at least"] == ["25 %", ""]
    assert cells["p TFCE (main)"] == [".012", ".0003"]
    assert cells["p cluster size"] == [".013", ".500"]
    assert cells["k"] == ["1,067", "0"]
    assert cells["p height"] == [".013", ".500"]
    assert cells["t(12)"] == ["−9.99", "5.00"]
    assert cells["mean, %"] == ["−1.22", "0.500"]
    assert cells["95 % interval"] == ["−1.49, −0.96", "0.460, 0.540"]
    assert cells["partial r"] == ["−0.98", "0.50"]
    assert [cells[f"{axis} (mm)"] for axis in "xyz"] == [["−48", "28"], ["−56", "0"], ["−8", "0"]]


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(-12.345, 2, "−12.35"), (-0.001, 2, "0.00"), (0.5, 0, "0"), (np.nan, 2, "n/a")],
)
def test_a_number_has_a_true_minus(value, digits, words):
    assert show(value, digits) == words


@pytest.mark.parametrize(
    ("label", "x", "expected"),
    [
        ("Temporal_Inf_L", 4, ("Temporal Inf", "L")),
        ("near Precentral_R (3 mm)", 4, ("Near Precentral (3 mm)", "R")),
        ("62% Left_Frontal_Pole; 11% Right_A", 4, ("Frontal Pole 62 %", "L")),
        ("no_label", -4, ("No label", "L")),
        ("Vermis_6", 0, ("Vermis 6", "–")),
        (np.nan, 4, ("–", "R")),
    ],
)
def test_a_label_is_a_region_and_a_side(label, x, expected):
    assert name_place(label, x) == expected


@pytest.fixture(scope="module")
def shown(output_folder):
    """The first contrast of the example, which has clusters of one voxel."""
    (results,) = read_group_results(output_folder)
    return Shown(results, results.record.contrasts[0])


def test_the_set_is_told_above_the_table_and_the_verdict_can_be_copied(shown):
    text = table.make_section(shown, FigureBook()).content
    main = shown.main
    counts = f"{main.n_clusters} clusters, {main.n_voxels} voxels of {shown.n_tested:,}"
    assert f"Set level: {counts} survive {main.title}." in text
    sentence = text.partition('data-sentence="')[2].partition('"')[0]
    rule = f"Main threshold: {main.words}, over {shown.n_tested:,} voxels."
    assert sentence.startswith(f"{verdict(shown).finding.striptags()} {rule} Strongest: ")
    assert f"{main.words}, over {shown.n_tested:,} voxels." in make_verdict(shown, FigureBook()).content
    top = shown.peaks.loc[shown.peaks["z"].abs().idxmax()]
    assert f"z = {show(top['z'])}, corrected p {show_p(top['p_fwe'])}, mean " in sentence


def test_small_clusters_are_left_out_of_tables_and_still_pictures_and_this_is_said(shown):
    few = replace(shown, min_cluster=8)
    main = few.main
    sizes = few.results.read_table(main.clusters)["n_voxels"]
    small = int((sizes < 8).sum())
    said = f"{small} clusters below 8 voxels are not shown here (--report-min-cluster); all are in "
    assert 0 < small < len(sizes)
    for make in (table, where, thresholds, peaks):
        assert said + main.clusters in make.make_section(few, FigureBook()).content
        assert "not shown here" not in make.make_section(shown, FigureBook()).content
    assert few.read_listed(main, "clusters")["n_voxels"].min() >= 8
    kept = few.results.read_map(main.labels).values
    assert verdict(few) == verdict(shown)
    assert np.count_nonzero(few.drawn[main.method].values) == sizes[sizes >= 8].sum()
    assert np.count_nonzero(few.kept[main.method].values) == np.count_nonzero(kept) == sizes.sum()


def test_captions_have_the_numbers_and_names_of_the_table(shown):
    captions = Markup(peaks.make_section(shown, FigureBook()).content).striptags()
    top = shown.peaks.loc[shown.peaks["z"].abs().idxmax()]
    label = top["aal"].replace("_", " ")
    assert f"peak {top['peak']}: z = {show(top['z'])}, {label}" in captions
    sizes = shown.results.read_table(shown.main.clusters)["n_voxels"].head(peaks.N_CLUSTERS)
    assert [f": {n} voxel{'' if n == 1 else 's'} " in f"{captions} " for n in sizes] == [True] * len(sizes)
    alone = replace(shown.main, n_voxels=1, n_clusters=1)
    contrast = replace(shown.contrast, thresholds=(alone, *shown.contrast.thresholds[1:]))
    said = thresholds.make_section(replace(shown, contrast=contrast), FigureBook()).content
    assert ": 1 voxel in 1 cluster</summary>" in said
    assert f"{alone.title}, 1 cluster, 1 voxel;" in said


def test_where_nothing_survives_the_strongest_peaks_are_shown(shown, tmp_path):
    path = "strongest.tsv"
    frame = shown.peaks.drop(columns="cluster_id").head(5).assign(peak=range(1, 6), p_fwe=0.9)
    frame.to_csv(tmp_path / path, sep="\t", index=False)
    (tmp_path / "strongest.json").write_text(json.dumps({"p_fwe": {"Description": "p"}}))
    nothing = replace(shown.contrast.main, n_voxels=0, n_clusters=0)
    contrast = replace(shown.contrast, thresholds=(nothing,), strongest=path)
    found = Shown(replace(shown.results, folder=tmp_path), contrast)
    section = table.make_section(found, FigureBook())
    assert section.title == "Strongest peaks (none survives)"
    assert "No row of this table survives" in section.content
    assert section.content.count("<tr data-x") == 5
    assert section.content.count(">.900<") == 5
    assert "voxels" not in section.content.partition("<tbody>")[0]
    unknown = replace(contrast, thresholds=(replace(nothing, reason="no shuffles"),))
    section = table.make_section(replace(found, contrast=unknown), FigureBook())
    assert section.title == "Strongest peaks"
    assert "The main threshold was not computed." in section.content
    # Of records of earlier versions.
    assert (
        table.make_section(replace(found, contrast=replace(contrast, strongest=None)), FigureBook()) is None
    )
