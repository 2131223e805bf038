"""What the dry run of the group says: cells, design, reach of shuffles, cost, and designs to choose from."""

import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
from effect_maps import write_effect_maps

from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import parse_arguments
from bidsapp.group import foretell
from bidsapp.plan import make_group_plan
from bidsapp.plan.group.wizard import _find_factors

N = 16
COLUMNS = {
    "my group": ["patient's"] * 8 + ["control"] * 8,
    "site": ["x", "y", "z", "x"] * 4,
    "age": [20 + (7 * k) % 23 for k in range(N)],
    "scan_id": [100 + 3 * k for k in range(N)],
    "number": [str(k + 1) for k in range(N)],
    "order": list(range(N)),
    "hand": ["right"] * N,
    "rare": ["a"] * 4 + ["b"] * 3 + ["n/a"] * 9,
    "alone": ["a"] * 15 + ["b"],
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    effects = np.random.default_rng(0).normal(size=(N, 2, 2, 2))
    contrasts = {f"ses-{session}_{name}": list(effects) for session in ("1", "2") for name in ("f", "h")}
    contrasts["ses-2_f"][0] = contrasts["ses-2_h"][0] = None
    return write_effect_maps(tmp_path_factory.mktemp("wizard") / "my maps", contrasts, COLUMNS)


def dry_run(maps, capsys, *words, kind="json"):
    base = [maps, maps.parent / "out", "group", "--estimates", maps, *words, f"--dry-run={kind}"]
    code = main([str(word) for word in base])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)["group"] if kind == "json" else shown.out


def test_every_design_that_is_offered_can_be_planned_with_its_n(maps, capsys):
    designs = dry_run(maps, capsys)["designs"]
    offered = [shlex.split(one["command"].partition(" --group-design ")[2]) for one in designs]
    assert offered == [
        ["one-sample"],
        ["two-sample", "my group"],
        ["anova", "site"],
        ["covariate", "age"],
        ["two-sample", "my group", "covariate", "age"],
        ["paired", "ses-1", "ses-2"],
        ["paired", "f", "h"],
        ["paired", "ses-1", "ses-2", "two-sample", "my group"],
    ]
    for one in designs:
        program, *words = shlex.split(one["command"])
        plan = make_group_plan(make_settings(parse_arguments(words)))
        numbers = {str(len(set(fit.subjects))) for model in plan.models for fit in model.fits}
        assert (program, set(one["n"].split(" to "))) == ("run.py", numbers)


def test_a_design_that_is_given_has_no_others_beside_it(maps, capsys):
    assert "designs" not in dry_run(maps, capsys, "--group-design", "one-sample")


def test_people_without_estimates_do_not_count(maps, capsys):
    """Of the first ten two are controls: too few for a comparison."""
    labels = [f"{k + 1:02d}" for k in range(10)]
    designs = dry_run(maps, capsys, "--participant-label", *labels)["designs"]
    assert not any("two-sample" in one["command"] for one in designs)
    assert all("--participant-label 01 02" in one["command"] for one in designs)


@pytest.mark.parametrize(
    ("names", "factors"),
    [
        (["IniFF", "IniSF", "ImmFF", "ImmSF"], [["Ini", "Imm"], ["FF", "SF"]]),
        (["a_x_1", "a_x_2", "b_x_1", "b_x_2"], []),
        (["a-1", "a-2", "b-1", "b-2"], [["a", "b"], ["1", "2"]]),
        (["go", "stop", "wait"], []),
        ([], []),
    ],
)
def test_factors_are_found_in_names_that_are_all_their_combinations(names, factors):
    assert _find_factors(names) == factors


def test_cells_reach_of_shuffles_and_forecast_are_told(maps, capsys):
    words = ("--session-label", "1", "--group-design", "two-sample", "my group", "--n-permutations", "20000")
    plan = dry_run(maps, capsys, *words)
    fit = plan["fits"][0]
    assert fit["cells"] == {"my group.control": {"f": 8}, "my group.patient's": {"f": 8}}
    difference = next(one for one in fit["contrasts"] if "vs" in one["name"])
    # 8 of 16; that the groups change places is the same by both tails.
    assert difference["arrangements"] == 12870
    assert difference["smallest_p"] == pytest.approx(2 / 12870)


@pytest.mark.parametrize(
    "less", [("--n-permutations", "0"), ("--select-contrasts", "f"), ("--statistics", "height")], ids=str
)
def test_forecast_grows_with_shuffles_contrasts_and_clusters(maps, capsys, monkeypatch, less):
    grid = SimpleNamespace(mask=np.empty(10**6, bool))
    monkeypatch.setattr(foretell, "find_grids", lambda _fits: [grid])
    words = ("--session-label", "1", "--group-design", "one-sample")
    whole, part = (dry_run(maps, capsys, *words, *more)["forecast"] for more in ((), less))
    assert part["seconds"] < 0.9 * whole["seconds"]


def test_contrast_that_the_design_cannot_estimate_is_said(maps, capsys):
    words = ("--session-label", "1", "--group-design", "covariate", "order", "scan_id", "age")
    text = dry_run(maps, capsys, *words, "--n-permutations", "0", kind="text")
    assert "NOT MADE f order: " in text
    assert "t f age, variance inflation" in text


def test_text_is_bounded_for_many_columns_and_rows(maps, capsys):
    words = (
        "--group-design",
        "paired",
        "ses-1",
        "ses-2",
        "anova",
        "site",
        "covariate-by-group",
        "age",
        "order",
    )
    text = dry_run(maps, capsys, *words, kind="text")
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("      rows"))
    picture = lines[start : start + 10]
    assert len(picture[0].split()) == 9
    assert picture[1].split()[0] == "sub-02"  # who lacks a session is no row
    assert picture[9] == "      ... 7 more rows and 1 more columns"
    assert max(map(len, picture)) <= 6 + 9 * 18
    assert "left out: sub-01: no estimate of f ses-2" in text
