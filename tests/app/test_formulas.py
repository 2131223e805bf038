"""Group formulas through the command line: effects and tests against statsmodels, and what is said."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from effect_maps import run_group, write_effect_maps
from statsmodels.stats.anova import anova_lm

from bidsapp.errors import EXIT_OK, EXIT_USAGE

N = 24
SHAPE = (5, 6, 6)
FORMULA = '~ C(group, Treatment("control")) * age + `site of scan`'


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "group": rng.permutation(["control", "patient"] * (N // 2)),
            "site of scan": ["B", "A", "C", "A", "B", "A"] * (N // 6),
            "age": [None, *rng.normal(40, 9, N - 1).round(1)],
        }
    )


@pytest.fixture(scope="module")
def maps(people, tmp_path_factory):
    """Return effect maps; sub-01 has no age, sub-03 no map."""
    rng = np.random.default_rng(9)
    shift = 0.8 * (people["group"] == "patient") + 0.05 * people["age"].fillna(0)
    effects = [shift[i] + rng.normal(size=SHAPE) for i in range(N)]
    effects[2] = None
    columns = {name: ["n/a" if value != value else value for value in people[name]] for name in people}
    folder = write_effect_maps(tmp_path_factory.mktemp("formulas") / "maps", {"faces": effects}, columns)
    sidecar = {"site of scan": {"Levels": {"C": "first", "A": "second", "B": "third"}}}
    (folder / "participants.json").write_text(json.dumps(sidecar))
    return folder


@pytest.fixture(scope="module")
def done(maps, tmp_path_factory):
    more = ["--group-contrast", "`site of scan.A` - C"]
    return run_group(
        maps,
        tmp_path_factory.mktemp("done") / "out",
        "--formula",
        FORMULA,
        *more,
        "--atlas",
        "aal",
        shuffles=20,
    )


def read(maps, people, voxel):
    """Return the table of those with an age and a map, with the effect of a voxel."""
    import nibabel as nib

    rows = [i for i in range(N) if i not in (0, 2)]
    table = people.iloc[rows].rename(columns={"site of scan": "site"})
    paths = [next((maps / f"sub-{i + 1:02d}").glob("*.nii.gz")) for i in rows]
    return table.assign(y=[float(nib.load(path).get_fdata()[voxel]) for path in paths])


def test_effects_and_tests_equal_those_of_statsmodels(done, maps, people):
    assert done.code == EXIT_OK
    rng = np.random.default_rng(1)
    for voxel in [tuple(rng.integers(0, SHAPE)) for _ in range(5)]:
        table = read(maps, people, voxel)
        mean = table["age"].mean()
        fitted = smf.ols("y ~ C(group, Treatment('control')) * age + site", table).fit()
        typed = anova_lm(smf.ols("y ~ C(group, Sum) * age + C(site, Sum)", table).fit(), typ=3)
        names = list(fitted.params.index)
        patient, interaction = names[1], names[-1]
        tests = {
            "facesPatientVsControl": f"{patient} + {mean} * {interaction}",
            "facesGroup": f"{patient}",
            "facesGroupXAge": f"{interaction}",
            "facesAge": f"age + 0.5 * {interaction}",
            "facesSiteOfScanAC": "-site[T.C]",
        }
        for label, hypothesis in tests.items():
            expected = fitted.t_test(hypothesis)
            effect = done.map(f"contrast-{label}_stat-effect")[voxel]
            assert effect == pytest.approx(expected.effect.item(), rel=2e-6, abs=1e-7)
            assert done.map(f"contrast-{label}_stat-t")[voxel] == pytest.approx(
                expected.tvalue.item(), rel=2e-6
            )
        assert done.map("contrast-facesSiteOfScan_stat-F")[voxel] == pytest.approx(
            typed["F"]["C(site, Sum)"], rel=2e-6
        )
        assert done.map("contrast-facesGroup_stat-t")[voxel] ** 2 == pytest.approx(
            typed["F"]["C(group, Sum)"], rel=5e-6
        )


def test_the_record_tells_codings_and_who_is_left_out(done, people):
    record = done.record
    assert "site of scan against C (C, A, B)" in record["description"]
    assert record["formula"].endswith('+ C(`site of scan`, levels=["C", "A", "B"])')
    contrasts = {one["name"]: one for one in record["contrasts"]}
    assert {"subject": "sub-01", "reason": "no value for age"} in contrasts["faces group"]["excluded"]
    said = contrasts["faces patient vs control"]["estimand"]
    assert said["text"] == (
        "marginal mean of group.patient (11 subjects) - group.control (11 subjects); over the levels of "
        "site of scan, each alike; at the mean of age"
    )
    assert said["weights"] == [{"group.patient": {"faces": 1.0}, "group.control": {"faces": -1.0}}]
    assert contrasts["faces mean"]["descriptive"]
    in_table = people.groupby("group").groups
    expected = {
        f"group.{name}": [f"sub-{i + 1:02d}" for i in rows if i not in (0, 2)]
        for name, rows in in_table.items()
    }
    assert record["groups"] == expected
    assert "at age 0" in contrasts["faces group"]["estimand"]["text"]
    assert contrasts["faces group x age"]["estimand"]["slope"] == "age, group.patient - group.control"


def plan(maps, output, capsys, *more):
    """Return what a dry run says of the fits."""
    capsys.readouterr()
    assert run_group(maps, output, *more, "--dry-run", "json").code == EXIT_OK
    return json.loads(capsys.readouterr().out)["group"]["fits"]


def test_the_model_that_is_kept_gives_the_same_again(done, maps, tmp_path, capsys):
    (model,) = (done.folder / "code").glob("*_smdl.json")
    (again,) = plan(maps, tmp_path / "again", capsys, "--model", model)
    weights = {one["name"]: one["weights"] for one in done.record["contrasts"]}
    assert {one["name"]: one["weights"] for one in again["contrasts"]} == weights


def test_a_level_of_one_subject_is_a_warning(tmp_path, capsys):
    maps = write_effect_maps(
        tmp_path / "maps",
        {"faces": [np.full((2, 2, 2), i * 1.0) for i in range(6)]},
        {"group": list("aabbbc")},
    )
    assert run_group(maps, tmp_path / "out", "--formula", "~ group", "--dry-run").code == EXIT_OK
    assert "sub-06 alone has group.c" in capsys.readouterr().out


def test_one_way_to_say_the_model(maps, tmp_path, capsys):
    run = run_group(maps, tmp_path / "out", "--formula", "~ age", "--group-design", "one-sample")
    assert run.code == EXIT_USAGE
    assert "--formula and --group-design both say what the group model is" in capsys.readouterr().err


def test_terms_are_shuffled_as_other_designs_are(done):
    contrasts = {one["name"]: one for one in done.record["contrasts"]}
    assert contrasts["faces patient vs control"]["permutation"]["scheme"] == "permutation"
    assert contrasts["faces site of scan"]["permutation"]["n_shuffles"] == 20
