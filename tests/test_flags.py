"""Every flag of the command line, on small data: it changes what it should, and nothing else.

The rows are in ``flag_rows``. Results with and without a flag are compared, kind by kind
(``outcomes.kind_of``), and every sidecar of both calls with the settings, the record and the array
(``sidecar_rows``).
"""

import io
import json
import shutil
from contextlib import redirect_stdout

import numpy as np
import pytest
from documents import contrast, factor, higher_node, make_document, run_node, transformations, write_model
from flag_rows import (
    FURTHER_GROUPS,
    FURTHER_RUNS,
    GROUP,
    GROUP_ROWS,
    HOW_TO_RUN,
    MANY,
    PLAN_ROWS,
    RUN,
    RUN_ROWS,
    SELECT,
)
from makers import programs
from makers.layouts import make_choices
from outcomes import FOLLOWING, assert_matched, changed_kinds, kind_of
from recomputed import find_differences, sidecars_of_residuals
from sidecar_rows import COMMON, OF_GROUPS, OF_SUBJECTS, QUANTITIES, base_of, find_contexts, find_faults

from bidsapp.cli.main import main
from bidsapp.cli.parser import make_parser
from bidsapp.errors import EXIT_CANNOT_CREATE, EXIT_FAILURE, EXIT_OK
from bidsapp.job import workers


def fill_in(flags, **places):
    return {flag: [word.format(**places) for word in words] for flag, words in flags.items()}


@pytest.fixture
def group(call_group, group_maps):
    """Return a function that runs the group level with flags."""
    return lambda flags: call_group(GROUP | fill_in(flags, maps=group_maps, one=group_maps.parent / "one"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a model file of both conditions, combined over runs."""
    x = ["trial_type.face", "trial_type.house", "trans_x", 1]
    convolve = {"Name": "Convolve", "Input": x[:2], "Model": "spm"}
    rules = [contrast("face", x[:1], [1]), contrast("house", x[1:2], [1])]
    rules.append(contrast("any", x[:2], [[1, 0], [0, 1]], "F"))
    run = run_node(x, Name="runLevel", Transformations=transformations(factor(), convolve), Contrasts=rules)
    subject = higher_node("Subject", Name="subjectLevel", Model={"Type": "meta"})
    document = make_document(run, subject, Name="own", Input={"task": ["viewing"]})
    return write_model(document, tmp_path_factory.mktemp("model"))


@pytest.fixture
def participant(call_participant, model, tmp_path):
    """Return a function that runs one participant with flags."""

    def call(flags):
        made = call_participant(RUN | fill_in(flags, work=tmp_path, model=model))
        assert list(tmp_path.iterdir()) == []
        return made

    return call


@pytest.mark.parametrize("row", GROUP_ROWS, ids=str)
def test_a_flag_of_the_group_changes_what_it_should(row, group):
    check(row, group(row.base), group(row.flags))


@pytest.mark.parametrize("row", RUN_ROWS, ids=str)
def test_a_flag_of_the_runs_changes_what_it_should(row, participant):
    check(row, participant(row.base), participant(row.flags))


def check(row, before, after):
    assert (before.code == EXIT_OK) != row.needed
    assert after.code == EXIT_OK
    changed = changed_kinds(before.results, after.results)
    if row.only is not None:
        assert_matched(changed, row.only)
    else:
        same = {kind_of(path) for path in before.results.keys() & after.results.keys()} - changed
        assert_matched({kind for kind in same if not kind.startswith(FOLLOWING)}, row.kept)
    for path, values in after.results.items():
        if kind_of(path) in row.inside:
            both = np.isfinite(values) & np.isfinite(before.results[path])
            assert both.any()
            np.testing.assert_allclose(values[both], before.results[path][both], rtol=1e-5, atol=1e-6)
    said = sidecar_of(after.out)
    assert {key: said[key] for key in row.says} == row.says


def sidecar_of(out):
    """Return the sidecars of the corrected maps as one; each says the conventions of its own statistic."""
    paths = sorted(out.glob("group/*_stat-logp_desc-max*_statmap.json"))
    return {key: value for path in paths for key, value in json.loads(path.read_text()).items()}


@pytest.mark.parametrize("row", GROUP_ROWS, ids=str)
def test_sidecars_of_the_group_are_true(row, group):
    assert find_faults(group(row.flags)) == []


@pytest.mark.parametrize("row", RUN_ROWS, ids=str)
def test_sidecars_of_participants_are_true(row, participant):
    assert find_faults(participant(row.flags)) == []


@pytest.mark.parametrize("flags", FURTHER_RUNS, ids=str)
def test_sidecars_of_further_participants_are_true(flags, participant):
    assert find_faults(participant(flags)) == []


@pytest.mark.parametrize("flags", [*(row.flags for row in RUN_ROWS), *FURTHER_RUNS], ids=str)
def test_maps_of_participants_follow_from_effect_variance_and_design(flags, participant):
    assert find_differences(participant(flags)) == []


@pytest.mark.parametrize("flags", [{"--residuals": []}, {"--residuals": [], "--scaling": ["none"]}], ids=str)
def test_sidecars_of_residuals_are_true(flags, participant):
    pairs = sidecars_of_residuals(participant(flags))
    assert len(pairs) == 2
    for said, wanted in pairs:
        assert said == wanted


def test_flags_of_how_to_run_change_no_result(participant):
    before, after = participant({}), participant(HOW_TO_RUN)
    assert changed_kinds(before.results, after.results) == set()
    assert "with 2 runs at once" in after.log
    assert "limit 2.0 GB" in after.log


@pytest.mark.parametrize("flags", FURTHER_GROUPS, ids=lambda flags: " ".join(sum(flags.values(), [])))
def test_sidecars_of_further_groups_are_true(flags, group):
    assert find_faults(group(flags)) == []


def test_every_quantity_and_field_of_a_sidecar_was_met(group, participant):
    calls = [group(row.flags) for row in GROUP_ROWS] + [group(flags) for flags in FURTHER_GROUPS]
    calls += [participant(flags) for flags in (*(row.flags for row in RUN_ROWS), *FURTHER_RUNS)]
    met = [context for call in calls for context in find_contexts(call)]
    # Of higher orders than were fitted.
    rare = {f"ar{order}" for order in range(4, 13)}
    assert {base_of(c.stat) for c in met} == set(QUANTITIES) - rare
    assert {field for c in met for field in c.sidecar} == {*COMMON, *OF_SUBJECTS, *OF_GROUPS}


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    """Return a folder with a dataset in which everything can be chosen, a filter and a model."""
    folder = tmp_path_factory.mktemp("choices")
    make_choices(folder)
    (folder / "filter.json").write_text('{"bold": {"run": "1"}}')
    groups, rules = ["run", "session", "task", "subject"], [contrast("motion", ["trans_x"], [1])]
    run = run_node([1, "trans_x"], Name="r", GroupBy=groups, Contrasts=rules)
    model = make_document(run, Input={"task": ["x", "y"]})
    (folder / "model.json").write_text(json.dumps(model))
    run["Contrasts"].append(contrast("no", ["never"], [1]))
    (folder / "invalid.json").write_text(json.dumps(model))
    return folder


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


@pytest.fixture(scope="module")
def plan_of(choices, tmp_path_factory):
    """Return a function that plans with flags: the aspects of the plan, none where it fails; made once."""
    done, work = {}, tmp_path_factory.mktemp("plans")

    def call(flags):
        filled = fill_in(flags, choices=choices, work=work)
        words = tuple(word for flag, values in filled.items() for word in (flag, *values))
        if words not in done:
            said = io.StringIO()
            with redirect_stdout(said):
                code = main(
                    [str(choices / "data"), str(work / "out"), "participant", "--dry-run", "json", *words]
                )
            assert not (work / "out").exists()
            done[words] = aspects_of(json.loads(said.getvalue())) if code == EXIT_OK else {}
        return done[words]

    call.work = work
    return call


KEPT_INDEX = {"--bids-database-dir": ["{work}/index"]}


@pytest.mark.parametrize("row", PLAN_ROWS, ids=str)
def test_a_flag_of_the_plan_changes_what_it_should(row, plan_of):
    # One index for all plans, but for the row that shows that a kept index changes nothing.
    base = SELECT if row.flag in KEPT_INDEX else SELECT | KEPT_INDEX
    before, after = plan_of(base | row.base), plan_of(base | row.flags)
    assert (before == {}) == row.needed
    assert_matched({key for key in after if before.get(key) != after[key]}, row.only)
    assert {key: after[key] for key in row.says} == row.says


def test_bids_database_dir_is_filled(plan_of):
    plan_of(SELECT | {"--bids-database-dir": ["{work}/database"]})
    assert list((plan_of.work / "database").iterdir())


@pytest.fixture
def dry_group(group_maps, tmp_path):
    """Return the words of a dry run of the group level on ``group_maps``, without its estimates."""
    return [str(group_maps), str(tmp_path / "out"), "group", "--dry-run", "json"]


def test_estimates_are_the_maps_that_are_read(dry_group, group_maps, capsys):
    alone = [*dry_group, "--group-design", "one-sample"]
    assert main(alone) != EXIT_OK
    assert main([*alone, "--estimates", str(group_maps)]) == EXIT_OK
    plan = json.loads(capsys.readouterr().out)
    assert {fit["input_contrast"] for fit in plan["group"]["fits"]} == set("ABC")


def test_formula_is_the_model_of_the_group(dry_group, group_maps, capsys):
    words = [*dry_group, "--estimates", str(group_maps)]
    assert main([*words, "--formula", "~ group"]) == EXIT_OK
    plan = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in plan["group"]["fits"][0]["contrasts"]} == {
        "A mean",
        "A patient vs control",
    }


def test_estimates_pattern_says_whose_results_are(tmp_path, capsys):
    for label, maps in programs.make_estimates(3).items():
        programs.write_feat(tmp_path / "maps" / f"S{label}x.feat", maps)
    words = [tmp_path / "maps", tmp_path / "out", "group", "--estimates", f"feat:{tmp_path}/maps"]
    words = [*map(str, words), "--group-design", "one-sample", "--dry-run", "json"]
    assert main(words) != EXIT_OK
    assert main([*words, "--estimates-pattern", "S{participant}x"]) == EXIT_OK
    plan = json.loads(capsys.readouterr().out)
    assert plan["group"]["fits"][0]["subjects"] == ["sub-01", "sub-02", "sub-03"]


def test_dask_scheduler_is_asked(group_maps, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workers, "SECONDS_TO_CONNECT", 1)
    words = ["--estimates", str(group_maps), "--dask-scheduler", "tcp://127.0.0.1:1"]
    assert main([str(group_maps), str(tmp_path / "out"), "group", *words]) != EXIT_OK
    assert "no scheduler answers" in capsys.readouterr().err


def test_work_dir_is_where_temporary_files_go(group_maps, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = ["--estimates", str(group_maps), "--work-dir", str(tmp_path / "file")]
    assert main([str(group_maps), str(tmp_path / "out"), "group", *words]) == EXIT_CANNOT_CREATE
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_stop_when_decided_shuffles_less_and_decides_the_same(group):
    every, fewer = group(MANY), group(MANY | {"--stop-when-decided": []})
    n_every, n_fewer = (
        max(contrast["permutation"]["n_shuffles"] for contrast in call.records[0]["contrasts"])
        for call in (every, fewer)
    )
    assert n_fewer < n_every == 3000
    survived = [kind for kind in changed_kinds(every.results, fewer.results) if kind.startswith("cut")]
    assert survived == []


def test_dry_run_writes_nothing(plan_of):
    assert plan_of(SELECT)["sub"] == {"01", "02"}


def test_list_participants_prints_labels(choices, tmp_path, capsys):
    assert (
        main([str(choices / "data"), str(tmp_path / "out"), "participant", "--list-participants"]) == EXIT_OK
    )
    assert capsys.readouterr().out.split() == ["01", "02"]
    assert not (tmp_path / "out").exists()


def test_reports_only_rebuilds_reports(group, group_maps, tmp_path):
    made = group({}).out
    out = tmp_path / "out"
    shutil.copytree(made, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    words = [word for flag, values in GROUP.items() for word in (flag, *values)]
    code = main(
        [str(group_maps), str(out), "group", "--estimates", str(group_maps), "--reports-only", *words]
    )
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


def test_allow_mixed_settings_is_needed_for_them(group_maps, tmp_path, capsys):
    maps = shutil.copytree(group_maps.parent / "one", tmp_path / "maps")
    for path in maps.glob("sub-02/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"SmoothingFWHM": 0.0}))
    words = [str(maps), str(tmp_path / "out"), "group", "--estimates", str(maps), "--dry-run"]
    assert main(words) != EXIT_OK
    assert "--allow-mixed-settings" in capsys.readouterr().err
    assert main([*words, "--allow-mixed-settings"]) == EXIT_OK


def test_config_file_gives_what_flags_give(group, tmp_path):
    (tmp_path / "c.toml").write_text("seed = 5\n")
    by_flag = group({"--seed": ["5"]})
    by_file = group({"--config-file": [str(tmp_path / "c.toml")]})
    assert changed_kinds(by_flag.results, by_file.results) == set()


def test_quiet_leaves_warnings_alone(group):
    log = group({"--quiet": []}).log
    assert "INFO" not in log
    assert "WARNING" in log


def test_verbose_names_the_files(group):
    made = group({"-v": []})
    paths = [path for path in made.out.rglob("*") if path.is_file()]
    assert [path for path in paths if f"wrote {path}" not in made.log] == []


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
    rows = {row.flag for row in (*GROUP_ROWS, *RUN_ROWS, *PLAN_ROWS)} | HOW_TO_RUN.keys()
    own = [name for name in globals() if name.startswith(f"test_{action.dest}_")]
    assert own or rows & set(action.option_strings) or action.dest in PRINTING
