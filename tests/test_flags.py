"""Every flag of the command line, on small data: it changes what it should, and nothing else.

A row of a table is a flag with a value. Results with and without it are compared, kind by kind
(``outcomes.kind_of``): ``only`` names all kinds that may differ, ``kept`` those that may not where all others
must. What the flag is about stands in the sidecar of a map too (``says``).
"""

import json
import shutil
from dataclasses import dataclass, field

import pytest
from makers.group_maps import make_group_maps
from makers.layouts import make_choices
from outcomes import FOLLOWING, assert_matched, changed_kinds, kind_of, read_results

from bidsapp.cli import main, make_parser
from bidsapp.errors import EXIT_FAILURE, EXIT_OK

# A run of the app for each flag: minutes.
pytestmark = pytest.mark.slow

MAPS = "{maps}"
GROUP = {
    "--group-design": ["paired", "A", "B"],
    "--n-permutations": ["64"],
    "--cluster-forming-p": ["0.05"],
    "--n-cpus": ["1"],
}
TWO_SAMPLE = {"--group-design": ["two-sample", "group"]}
ONE_SAMPLE = {"--group-design": ["one-sample"]}
REPEATED = {"--group-design": ["repeated-measures", "cond=A,B,C"], "--group-contrast": ["x=A - B; B - C"]}
PAIRED = {"--group-design": ["paired", "A", "B", "two-sample", "group"]}
FAMILIES = {"--exchangeability-blocks": ["family"], "--alpha": ["0.2"]}
# What does not depend on the values of the maps.
DESIGN = ("contrasts", "coverage", "design")
FITTED = ("effect", "variance", "t", "z", "d", "g", "gLow", "gHigh", "partialrsquare", "influence", "mask *")
SHUFFLED = ("logp *", "nullmax", "cut max*", "found max*", "q fdrPermutation")
MASS = ("logp maxMass", "cut maxMass", "found maxMass", "mass", "nullmax")
TFCE = ("logp maxTFCE", "cut maxTFCE", "found maxTFCE", "tfce", "nullmax")
CLUSTERS = (*MASS, "logp maxSize", "cut maxSize", "found maxSize", "size")


@dataclass(frozen=True)
class Row:
    """A flag, its words, what the calls before and after have in common, and what must differ."""

    flag: str
    words: list
    base: dict = field(default_factory=dict)
    only: tuple | None = None
    kept: tuple = ()
    says: dict = field(default_factory=dict)

    def __str__(self):
        return " ".join([self.flag, *map(str, self.words)])


GROUP_ROWS = [
    Row("--group-smoothing-fwhm", ["12"], kept=(*DESIGN, "mask *"), says={"GroupSmoothingFWHM": 12.0}),
    Row("--group-design", ["two-sample", "group"], only=("+*", "-*", "found *")),
    Row(
        "--group-contrast",
        ["sum=group.patient + group.control"],
        TWO_SAMPLE,
        only=("+*", "found *", "contrasts"),
    ),
    Row("--error-term", ["pooled"], REPEATED, only=("+*", "-*", "found *")),
    Row("--weights", ["size"], PAIRED, kept=("coverage", "design", "mask *", "influence")),
    Row(
        "--conjunction",
        ["both=A,B"],
        ONE_SAMPLE,
        only=("+p", "+z", "+q fdr*", "+cut *", "+discoveries", "found *"),
    ),
    Row("--group-estimator", ["reml"], kept=(*DESIGN, "mask *", "discoveries")),
    Row("--variance-groups", ["group"], TWO_SAMPLE, kept=(*DESIGN, "effect", "mask *", "influence")),
    Row("--min-subjects", ["7"], kept=(*DESIGN, "influence")),
    Row("--mask", [f"{MAPS}/code/back.nii.gz"], kept=DESIGN),
    Row("--resample", [], {"--mask": [f"{MAPS}/code/shifted.nii.gz"]}, only=("+*", "found *")),
    Row("--roi", [f"{MAPS}/code/halves.nii.gz"], only=("+regions halves",)),
    Row("--alpha", ["0.2"], only=("cut *", "found *", "discoveries", "q fdrBKY")),
    Row("--tail", ["positive"], kept=(*DESIGN, *FITTED)),
    Row("--tail", ["negative"], kept=(*DESIGN, *FITTED)),
    Row("--main-threshold", ["uncorrected"], only=(), says={"MainThreshold": "uncorrected"}),
    Row("--atlas", ["aal"], only=("found *", "discoveries")),
    Row("--n-permutations", ["128"], only=SHUFFLED, says={"Permutations": 128}),
    Row(
        "--cluster-forming-p", ["0.01"], only=(*CLUSTERS, "cut *", "found *"), says={"ClusterFormingP": 0.01}
    ),
    Row("--seed", ["5"], only=SHUFFLED, says={"Seed": 5}),
    Row("--statistics", ["height"], only=("-*", "found *", "nullmax")),
    Row(
        "--exchangeability-blocks", ["site"], TWO_SAMPLE, only=SHUFFLED, says={"ExchangeabilityBlocks": True}
    ),
    Row("--block-mode", ["whole"], FAMILIES, only=SHUFFLED),
    Row("--shuffle-scheme", ["both"], TWO_SAMPLE, only=SHUFFLED, says={"Scheme": "both"}),
    Row("--connectivity", ["6"], only=(*CLUSTERS, "cut *", "found *"), says={"ClusterConnectivity": 6}),
    Row("--cluster-mass", ["raw"], only=MASS),
    Row("--cluster-scale", ["z"], only=(*MASS, *TFCE), says={"ClusterScale": "z", "TFCEScale": "z"}),
    Row("--tfce-preset", ["surface"], only=TFCE, says={"TFCEExtentPower": 1.0}),
    Row("--tfce-steps", ["20"], only=TFCE),
    Row("--tail-approximation", ["gamma"], only=("logp max*", "cut max*", "found max*")),
    Row("--stop-when-decided", [], only=(), says={"StopWhenDecided": True}),
    Row("--across-contrasts", [], ONE_SAMPLE, only=("logp max*", "cut max*", "found max*")),
]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps") / "maps"
    make_group_maps(folder)
    return folder


@pytest.fixture(scope="module")
def group(maps, tmp_path_factory):
    """Return a function that runs the group level with flags: its folder and results, each call made once."""
    done = {}

    def call(flags):
        words = [word.format(maps=maps) for flag, values in flags.items() for word in (flag, *values)]
        if tuple(words) not in done:
            out = tmp_path_factory.mktemp("group") / "out"
            code = main([str(maps), str(out), "group", "--estimates", str(maps), *words])
            done[tuple(words)] = code, out, read_results(out)
        return done[tuple(words)]

    return call


@pytest.mark.parametrize("row", GROUP_ROWS, ids=str)
def test_a_flag_of_the_group_changes_what_it_should(row, group):
    before = group(GROUP | row.base)
    after = group(GROUP | row.base | {row.flag: row.words})
    check(row, before, after)


def check(row, before, after):
    (_, _, results), (code, out, changed_results) = before, after
    assert code == EXIT_OK
    changed = changed_kinds(results, changed_results)
    if row.only is not None:
        assert_matched(changed, row.only)
    else:
        same = {kind_of(path) for path in results.keys() & changed_results.keys()} - changed
        assert_matched({kind for kind in same if not kind.startswith(FOLLOWING)}, row.kept)
    for key, value in row.says.items():
        assert sidecar_of(out)[key] == value


def sidecar_of(out):
    """Return the sidecars of the corrected maps as one; each says the conventions of its own statistic."""
    paths = sorted(out.glob("group/*_stat-logp_desc-max*_statmap.json"))
    return {key: value for path in paths for key, value in json.loads(path.read_text()).items()}


RUN = {"--participant-label": ["01"], "--n-cpus": ["1"]}
BASIS = {"--hrf-model": ["spm+derivative"], "--run-label": ["1"]}
# Runs of another mean or precision get another weight; their own t does not change.
SUBJECT = ("t", "F", "z", "p", "dof")
RUN_ROWS = [
    Row("--noise-model", ["ols"], only=("*",)),
    Row("--scaling", ["none"], only=("*effect", "*variance", "run sigmasquared", *SUBJECT)),
    Row("--smoothing-fwhm", ["0"], only=("*",)),
    Row("--noise-smoothing-fwhm", ["16"], only=("*",)),
    Row("--fixed-effects", ["equal"], only=("effect", "variance", "t", "F", "z", "p")),
    Row("--derivative-boost", [], BASIS, only=("*",)),
    Row("--residuals", [], only=("+run bold residuals",)),
    Row("--work-dir", ["{work}"], only=()),
    Row("--n-cpus", ["2"], only=()),
    Row("--mem-gb", ["2"], only=()),
    Row("--skip-bids-validation", [], only=()),
    Row("--notrack", [], only=()),
]


@pytest.fixture(scope="module")
def participant(tiny_dataset, tmp_path_factory):
    """Return a function that runs one participant with flags: code, folder, results; each call made once."""
    done = {}

    def call(flags):
        work = tmp_path_factory.mktemp("work")
        words = tuple(word for flag, values in flags.items() for word in (flag, *values))
        if words not in done:
            out = tmp_path_factory.mktemp("participant") / "out"
            given = [word.format(work=work) for word in words]
            code = main([str(tiny_dataset), str(out), "participant", *given])
            assert list(work.iterdir()) == []
            done[words] = code, out, read_results(out)
        return done[words]

    return call


@pytest.mark.parametrize("row", RUN_ROWS, ids=str)
def test_a_flag_of_the_runs_changes_what_it_should(row, participant):
    check(row, participant(RUN | row.base), participant(RUN | row.base | {row.flag: row.words}))


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    """Return a folder with a dataset in which everything can be chosen, a filter and a model."""
    folder = tmp_path_factory.mktemp("choices")
    make_choices(folder)
    (folder / "filter.json").write_text('{"bold": {"run": "1"}}')
    run = {"Level": "Run", "Name": "r", "GroupBy": ["run", "session", "task", "subject"]}
    run["Model"] = {"Type": "glm", "X": [1, "trans_x"]}
    run["Contrasts"] = [{"Name": "motion", "ConditionList": ["trans_x"], "Weights": [1], "Test": "t"}]
    model = {"Name": "m", "BIDSModelVersion": "1.0.0", "Input": {"task": ["x", "y"]}, "Nodes": [run]}
    (folder / "model.json").write_text(json.dumps(model))
    return folder


SELECT = {"--res": ["2"]}
PLAN_ROWS = [
    Row("--participant-label", ["02"], only=("sub",), says={"sub": {"02"}}),
    Row("--exclude-participant-label", ["01"], only=("sub",), says={"sub": {"02"}}),
    Row("--session-label", ["b"], only=("ses",), says={"ses": {"b"}}),
    Row("--task-label", ["y"], only=("task",), says={"task": {"y"}}),
    Row("--run-label", ["1"], only=("run", "skipped", "dof"), says={"run": {"1"}}),
    Row("--space", ["T1w"], only=("space",), says={"space": {"T1w"}}),
    Row("--res", ["1"], only=("res",), says={"res": {"1"}}),
    Row("--bids-filter-file", ["{choices}/filter.json"], only=("run", "skipped", "dof"), says={"run": {"1"}}),
    Row("--bids-database-dir", ["{out}/database"], only=()),
    Row("--derivatives", ["{choices}/elsewhere"], only=("sub", "skipped", "dof"), says={"sub": {"01"}}),
    Row("--model", ["{choices}/model.json"], only=("columns", "contrasts", "dof", "skipped")),
    Row("--contrast", ["mean=(go + stop) / 2"], only=("contrasts", "skipped")),
    Row("--confounds", ["motion12"], only=("columns", "dof")),
    Row("--high-pass", ["60"], only=("columns", "dof")),
    Row("--hrf-model", ["spm+derivative"], only=("columns", "dof")),
    Row(
        "--invalid-contrasts",
        ["drop"],
        {"--model": ["{choices}/model.json"]},
        only=(),
    ),
    Row("--missing-condition", ["zero"], only=("skipped",), says={"skipped": {"stop", "effectsOfInterest"}}),
]


def aspects_of(plan):
    """Return what a plan of the participants consists of, by aspect."""
    runs = [run for subject in plan["participant"]["subjects"] for run in subject["runs"]]
    aspects = {
        key: {run["entities"].get(key) for run in runs}
        for key in ("sub", "ses", "task", "run", "space", "res")
    }
    return aspects | {
        "columns": {name for run in runs for name in run["columns"]},
        "contrasts": {contrast["name"] for run in runs for contrast in run["contrasts"]},
        "dof": {run["dof"] for run in runs},
        "skipped": {name for run in runs for name in run["skipped"]},
    }


@pytest.fixture
def plan_of(choices, tmp_path, capsys):
    def call(flags):
        words = [w.format(choices=choices, out=tmp_path) for f, values in flags.items() for w in (f, *values)]
        code = main(
            [str(choices / "data"), str(tmp_path / "out"), "participant", "--dry-run", "json", *words]
        )
        assert code == EXIT_OK
        assert not (tmp_path / "out").exists()
        return aspects_of(json.loads(capsys.readouterr().out))

    return call


@pytest.mark.parametrize("row", PLAN_ROWS, ids=str)
def test_a_flag_of_the_plan_changes_what_it_should(row, plan_of):
    before, after = plan_of(SELECT | row.base), plan_of(SELECT | row.base | {row.flag: row.words})
    assert_matched({key for key in before if before[key] != after[key]}, row.only)
    for key, value in row.says.items():
        assert after[key] == value


def test_bids_database_dir_is_filled(plan_of, tmp_path):
    plan_of(SELECT | {"--bids-database-dir": [str(tmp_path / "database")]})
    assert list((tmp_path / "database").iterdir())


def test_estimates_are_the_maps_that_are_read(maps, tmp_path, capsys):
    alone = [str(maps), str(tmp_path / "out"), "group", "--group-design", "one-sample", "--dry-run", "json"]
    assert main(alone) != EXIT_OK
    assert main([*alone, "--estimates", str(maps)]) == EXIT_OK
    plan = json.loads(capsys.readouterr().out)
    assert {fit["input_contrast"] for fit in plan["group"]["fits"]} == set("ABC")


def test_dask_scheduler_is_asked(maps, tmp_path, capsys):
    words = ["--estimates", str(maps), "--dask-scheduler", "tcp://127.0.0.1:1"]
    assert main([str(maps), str(tmp_path / "out"), "group", *words]) != EXIT_OK
    assert "no scheduler answers" in capsys.readouterr().err


def test_dry_run_writes_nothing(plan_of):
    assert plan_of(SELECT)["sub"] == {"01", "02"}


def test_list_participants_prints_labels(choices, tmp_path, capsys):
    assert (
        main([str(choices / "data"), str(tmp_path / "out"), "participant", "--list-participants"]) == EXIT_OK
    )
    assert capsys.readouterr().out.split() == ["01", "02"]
    assert not (tmp_path / "out").exists()


def test_reports_only_rebuilds_reports(group, maps, tmp_path):
    _, made, _ = group(GROUP)
    out = tmp_path / "out"
    shutil.copytree(made, out)
    (out / "group.html").unlink()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    words = [word for flag, values in GROUP.items() for word in (flag, *values)]
    code = main([str(maps), str(out), "group", "--estimates", str(maps), "--reports-only", *words])
    assert code == EXIT_OK
    assert (out / "group.html").exists()
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize("stop", [True, False])
def test_stop_on_first_crash_tries_no_other(tiny_dataset, tmp_path, capsys, stop):
    data = tmp_path / "data"
    shutil.copytree(tiny_dataset, data)
    for label in ("01", "02"):
        for path in data.glob(f"derivatives/fmriprep/sub-{label}/func/*_desc-preproc_bold.nii.gz"):
            path.write_bytes(path.read_bytes()[:20000])
    words = ["--participant-label", "01", "02", "--n-cpus", "1", *["--stop-on-first-crash"] * stop]
    assert main([str(data), str(tmp_path / "out"), "participant", *words]) == EXIT_FAILURE
    said = capsys.readouterr().err
    assert "sub-01" in said
    assert ("sub-02" in said) != stop


def test_allow_mixed_settings_is_needed_for_them(tiny_dataset, tmp_path, capsys):
    words = [str(tiny_dataset), str(tmp_path / "out")]
    for label, fwhm in (("01", "6"), ("02", "0"), ("03", "6")):
        run = ["participant", "--participant-label", label, "--smoothing-fwhm", fwhm, "--n-cpus", "1"]
        assert main([*words, *run]) == EXIT_OK
    assert main([*words, "group", "--dry-run"]) != EXIT_OK
    assert "--allow-mixed-settings" in capsys.readouterr().err
    assert main([*words, "group", "--dry-run", "--allow-mixed-settings"]) == EXIT_OK


def test_config_file_gives_what_flags_give(group, maps, tmp_path):
    (tmp_path / "c.toml").write_text("seed = 5\n")
    _, _, by_flag = group(GROUP | {"--seed": ["5"]})
    _, _, by_file = group(GROUP | {"--config-file": [str(tmp_path / "c.toml")]})
    assert changed_kinds(by_flag, by_file) == set()


def messages(maps, out, capsys, *words):
    flags = [word for flag, values in GROUP.items() for word in (flag, *values)]
    assert main([str(maps), str(out), "group", "--estimates", str(maps), *flags, *words]) == EXIT_OK
    return capsys.readouterr().err


def test_quiet_leaves_warnings_alone(maps, tmp_path, capsys):
    said = messages(maps, tmp_path / "out", capsys, "--quiet")
    assert "INFO" not in said
    assert "WARNING" in said


def test_verbose_names_the_files(maps, tmp_path, capsys):
    said = messages(maps, tmp_path / "out", capsys, "-v")
    paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path for path in paths if f"wrote {path}" not in said] == []


@pytest.mark.parametrize(
    ("flag", "text"), [("--version", "TaskGLM"), ("--help", "usage"), ("--bids-exec-spec", '"inputs"')]
)
def test_flags_that_print_and_stop(flag, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([flag])
    assert stopped.value.code == 0
    assert text in capsys.readouterr().out


PRINTING = {"version", "help", "bids_exec_spec"}


@pytest.mark.parametrize(
    "action", [a for a in make_parser()._actions if a.option_strings], ids=lambda a: a.dest
)
def test_every_flag_is_tried(action):
    rows = {row.flag for row in (*GROUP_ROWS, *RUN_ROWS, *PLAN_ROWS)}
    own = [name for name in globals() if name.startswith(f"test_{action.dest}_")]
    assert own or rows & set(action.option_strings) or action.dest in PRINTING
