"""The main threshold: declared or by default, never by a result."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from group_pages import read_group_pages

from bidsapp.cli import main as cli
from bidsapp.group.main_threshold import choose_main, order_thresholds
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.vocabulary.thresholds import BY_WORD, FLAGS

SHAPE, N_SUBJECTS = (8, 8, 6), 7


def test_the_names_are_those_of_the_thresholds_in_their_order():
    assert [BY_WORD[flag].name for flag in FLAGS] == list(THRESHOLDS)


@pytest.mark.parametrize(
    ("statistics", "method"),
    [
        (("height", "tfce"), "maxTFCE"),
        (("height", "extent"), "maxSize"),
        (("height", "mass", "extent"), "maxMass"),
        (("height",), "maxT"),
        ((), "fdrBH"),
    ],
)
def test_the_default_is_the_first_that_the_settings_allow(statistics, method):
    main = choose_main(None, statistics)
    assert (main.method, main.declared) == (method, False)
    assert main.words.startswith("not declared: by default")


@pytest.mark.parametrize("name", BY_WORD)
@pytest.mark.parametrize("statistics", [("height", "tfce"), ()])
def test_a_declared_one_stays_whatever_could_be_had(name, statistics):
    main = choose_main(name, statistics)
    assert (main.method, main.declared) == (BY_WORD[name].name, True)
    assert name in main.words


def test_a_conjunction_has_the_default_where_the_declared_one_goes_by_shuffles():
    assert choose_main("height", is_conjunction=True).method == "fdrBH"
    assert choose_main("holm", is_conjunction=True).declared


def test_the_main_one_is_shown_first_and_those_not_computed_last():
    class One:
        def __init__(self, name, reason=""):
            self.name, self.reason = name, reason

    found = order_thresholds([One("maxTFCE", "no"), One("holm"), One("ari")], choose_main("ari", ("tfce",)))
    assert [one.name for one in found] == ["ari", "holm", "maxTFCE"]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return maps of a contrast with a strong effect, and of one without any."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("main") / "maps"
    for number in range(1, N_SUBJECTS + 1):
        (folder / f"sub-{number:02d}").mkdir(parents=True)
        for contrast, size in (("strong", 3.0), ("nothing", 0.0)):
            values = rng.standard_normal(SHAPE)
            values[2:5, 2:5, 2:4] += size
            stem = f"sub-{number:02d}_task-x_space-MNI152NLin2009cAsym_contrast-{contrast}"
            image = nib.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4, 4, 1]))
            nib.save(image, folder / f"sub-{number:02d}" / f"{stem}_stat-effect_statmap.nii.gz")
    rows = [f"sub-{number:02d}\t{number}\t{'ab'[number % 2]}" for number in range(1, N_SUBJECTS + 1)]
    (folder / "participants.tsv").write_text("participant_id\tage\tgroup\n" + "\n".join(rows) + "\n")
    (folder / "dataset_description.json").write_text('{"Name": "maps", "BIDSVersion": "1.10.0"}')
    return folder


def run(maps, out, *words):
    common = [str(maps), str(out), "group", "--estimates", str(maps), "--n-cpus", "1", "--group-design"]
    return cli.main([*common, *words])


def record_of(out):
    return json.loads(next((out / "logs").glob("*_group.json")).read_text())


def test_a_declared_threshold_is_in_record_sidecars_and_report(maps, tmp_path):
    words = ("--n-permutations", "128", "--statistics", "height", "extent", "--main-threshold", "extent")
    assert run(maps, tmp_path, "one-sample", *words, "--cluster-forming-p", "0.01") == 0
    for contrast in record_of(tmp_path)["contrasts"]:
        main = contrast["thresholds"][0]
        assert contrast["main_threshold"]["method"] == main["method"] == "maxSize"
        assert contrast["main_threshold"]["declared"]
        assert main["forming_p"] == 0.01
    sidecars = [
        json.loads(path.read_text()) for path in tmp_path.glob("group/*contrast-*stat-t_*statmap.json")
    ]
    assert {(one["MainThreshold"], one["MainThresholdDeclared"]) for one in sidecars} == {("maxSize", True)}
    page = read_group_pages(tmp_path)
    assert "declared with --main-threshold extent" in page
    assert "<b>Nothing survives</b>" in page
    assert "slices" in page
    figures = {path.name.split("_desc-")[1] for path in tmp_path.glob("group/figures/*_desc-*_slices.svg")}
    assert {name.removeprefix("maxSize") != name for name in figures} == {True}
    assert "declared with --main-threshold extent" in (tmp_path / "logs/CITATION.md").read_text()


# By the choice: how its rule begins, and the column of its own p in tables.
CHOICES = {
    "tfce": ("threshold-free cluster enhancement", "p_fwe_tfce"),
    "mass": ("cluster mass", "p_fwe_mass"),
    "extent": ("cluster extent", "p_fwe_size"),
    "height": ("voxel height", "p_fwe"),
    "fdr": ("false discovery rate", "q"),
    "fdr-adaptive": ("false discovery rate", "q"),
    "fdr-permutation": ("false discovery rate", "q"),
    "holm": ("Holm", "p_fwe"),
    "bonferroni": ("Bonferroni", "p_fwe"),
    "rft-peak": ("random-field", "p_fwe"),
    "rft-extent": ("random-field", "p_fwe"),
    "ari": ("All-Resolutions", None),
    "uncorrected": ("uncorrected", "p"),
}


def test_every_choice_has_its_words():
    assert list(CHOICES) == list(FLAGS)


@pytest.mark.parametrize("choice", FLAGS)
def test_record_sidecars_methods_report_and_tables_agree_on_every_choice(maps, tmp_path, choice):
    (rule, own), method = CHOICES[choice], BY_WORD[choice].name
    words = ("--n-permutations", "64", "--statistics", "height", "mass", "extent", "tfce")
    assert run(maps, tmp_path, "one-sample", *words, "--main-threshold", choice, "--alpha", "0.06") == 0
    contrasts = {one["name"]: one for one in record_of(tmp_path)["contrasts"]}
    for one in contrasts.values():
        assert one["main_threshold"]["method"] == one["thresholds"][0]["method"] == method
        assert one["main_threshold"]["declared"]
        assert one["permutation"]["scheme_reason"]
    main = contrasts["strong"]["thresholds"][0]
    assert rule.lower() in main["title"].lower()
    assert not main["reason"]
    for path in tmp_path.glob("group/*contrast-*_stat-*_statmap.json"):
        about = json.loads(path.read_text())
        if "coverage" not in path.name and "ContrastName" in about:
            assert (about["MainThreshold"], about["MainThresholdDeclared"]) == (method, True)
        if "SchemeReason" in about:
            assert about["SchemeReason"] == contrasts["strong"]["permutation"]["scheme_reason"]
    for page in ("logs/CITATION.md", "group.html"):
        text = (tmp_path / page).read_text()
        assert f"declared with --main-threshold {choice}" in text
        assert main["title"].split(",")[0] in text
    if not main["n_voxels"]:
        # Seven subjects and 64 shuffles are too few for these.
        assert choice in {"fdr-permutation", "rft-peak"}
        return
    for kind in ("clusters", "peaks"):
        columns = (tmp_path / main[kind]).read_text().split("\n", 1)[0].split("\t")
        p_columns = [name for name in columns if name in {"p", "q"} or name.startswith("p_fwe")]
        assert p_columns[:1] == ([own] if own else [])


def test_the_default_is_the_same_for_strong_effects_and_none(maps, tmp_path):
    words = ("--n-permutations", "128", "--statistics", "height", "--conjunction", "both=strong,nothing")
    assert run(maps, tmp_path, "one-sample", *words) == 0
    contrasts = record_of(tmp_path)["contrasts"]
    found = {one["name"]: one["thresholds"][0] for one in contrasts}
    assert {name: rule["method"] for name, rule in found.items()} == {
        "nothing": "maxT",
        "strong": "maxT",
        "both": "fdrBH",
    }
    assert found["nothing"]["n_voxels"] == 0 < found["strong"]["n_voxels"]
    assert "not declared: by default the first" in (tmp_path / "group.html").read_text()
    reasons = {rule["reason"] for rule in contrasts[-1]["thresholds"] if rule["method"].startswith("max")}
    assert reasons == {"a conjunction is not shuffled"}
    (page,) = tmp_path.glob("group/*_contrast-both_report.html")
    assert "Conjunction of strong and nothing by the minimum statistic. One-sample model:" in page.read_text()


def values_at(path, table):
    """Return the values of a map at the peaks of a table."""
    image = nib.load(path)
    places = table[["peak_x", "peak_y", "peak_z"]].to_numpy(float)
    return image.get_fdata()[tuple(np.rint(places @ np.linalg.inv(image.affine[:3, :3]).T).astype(int).T)]


def test_peaks_have_the_p_of_every_threshold_and_the_strongest_are_told_where_none_survives(maps, tmp_path):
    words = ("--n-permutations", "128", "--statistics", "height", "extent", "--main-threshold", "height")
    assert run(maps, tmp_path, "one-sample", *words, "--cluster-forming-p", "0.01") == 0
    found = {one["name"]: one for one in record_of(tmp_path)["contrasts"]}
    assert "strongest" not in found["strong"]
    for one, path in (
        (found["nothing"], found["nothing"]["strongest"]),
        (found["strong"], found["strong"]["thresholds"][0]["peaks"]),
    ):
        table = pd.read_csv(tmp_path / path, sep="\t")
        rules = {rule["method"]: tmp_path / rule["p_map"] for rule in one["thresholds"] if "p_map" in rule}
        assert values_at(tmp_path / one["maps"]["t"], table) == pytest.approx(table["t"])
        assert 10 ** -values_at(rules["maxT"], table) == pytest.approx(table["p_fwe"], rel=1e-5)
        assert 10 ** -values_at(rules["maxSize"], table) == pytest.approx(table["p_maxSize"], rel=1e-5)
        (sizes,) = (tmp_path / "group").glob(f"*_contrast-{one['name']}_stat-size_statmap.nii.gz")
        assert np.abs(values_at(sizes, table)) == pytest.approx(table["k_formed"])
        assert values_at(rules["fdrBH"], table) == pytest.approx(table["q_fdrBH"], rel=1e-5)
        assert "p_maxT" not in table
        assert (table["effect_low"] < table["effect"]).all()
        assert set(table) <= set(json.loads((tmp_path / path).with_suffix(".json").read_text()))
    # Of tables of clusters at the cluster-forming p their own sizes are these.
    by_size = next(rule for rule in found["strong"]["thresholds"] if rule["method"] == "maxSize")
    for path in (by_size["peaks"], found["strong"]["thresholds"][0]["clusters"]):
        assert "k_formed" not in pd.read_csv(tmp_path / path, sep="\t")
    table = pd.read_csv(tmp_path / found["nothing"]["strongest"], sep="\t")
    assert table["peak"].tolist() == [1, 2, 3, 4, 5]
    assert table["t"].abs().is_monotonic_decreasing
    whole = np.abs(nib.load(tmp_path / found["nothing"]["maps"]["t"]).get_fdata())
    assert abs(table["t"][0]) == pytest.approx(np.nanmax(whole))


def test_a_cutoff_by_shuffling_is_known_where_nothing_survives(maps, tmp_path):
    words = ("--n-permutations", "128", "--statistics", "height", "--seed", "7", "--tail", "positive")
    assert run(maps, tmp_path, "one-sample", *words) == 0
    (nothing,) = [one for one in record_of(tmp_path)["contrasts"] if one["name"] == "nothing"]
    assert nothing["permutation"]["seed"] == 7
    null = np.loadtxt(tmp_path / nothing["nulls"][0]["table"], skiprows=1)
    (t,) = (tmp_path / "group").glob("*contrast-nothing_stat-t_statmap.nii.gz")
    assert null[0] == pytest.approx(np.nanmax(nib.load(t).get_fdata()), rel=1e-5)
    null.sort()
    cutoff = nothing["thresholds"][0]["cutoff"]
    assert np.mean(null >= cutoff - 1e-6) <= 0.05 < np.mean(null >= null[null < cutoff - 1e-6].max())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("one-sample", "--main-threshold", "tfce", "--n-permutations", "0"), "--n-permutations is 0"),
        (("one-sample", "--main-threshold", "fdr-permutation", "--n-permutations", "0"), "goes by shuffles"),
        (("one-sample", "--main-threshold", "mass", "--statistics", "height"), "needs the statistic mass"),
        (
            ("one-sample", "--main-threshold", "maxT", "--alpha", "0.01"),
            "shuffling cannot reach alpha = 0.01",
        ),
        (("two-sample", "group", "--main-threshold", "height", "--alpha", "0.02"), "shuffling cannot reach"),
        (
            ("covariate", "age", "--group-estimator", "huber", "--main-threshold", "tfce"),
            "huber is shuffled in",
        ),
        (("covariate", "age", "--main-threshold", "tfc"), "did you mean 'tfce'?"),
        (("paired", "strong", "nothing", "--main-threshold", "max-t"), "is not one of"),
    ],
)
def test_a_choice_that_cannot_be_computed_is_refused_before_a_map_is_read(
    maps, tmp_path, capsys, monkeypatch, words, message
):
    monkeypatch.setattr("bidsapp.group.fit.read_stack", None)
    assert run(maps, tmp_path / "out", *words) == 64
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "group").exists()


def test_random_fields_need_degrees_of_freedom(maps, tmp_path, capsys):
    words = (
        "covariate",
        "age",
        "--participant-label",
        "01",
        "02",
        "03",
        "04",
        "--main-threshold",
        "rft-peak",
    )
    assert run(maps, tmp_path, *words) == 64
    assert "needs 3 degrees of freedom, there are 2" in capsys.readouterr().err
