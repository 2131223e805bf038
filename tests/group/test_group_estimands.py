"""The groups that the estimands of a design are told by."""

from types import SimpleNamespace

import numpy as np

from bidsapp.group.estimands import describe_estimand, find_groups
from bidsapp.records.maps import Contrast

A, F = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 0, 1])


def groups_of(columns, subjects="vwxyz"):
    design = SimpleNamespace(columns=tuple(columns), matrix=np.column_stack(list(columns.values())))
    return find_groups(SimpleNamespace(design=design, subjects=tuple(subjects), levels={}))


def estimand_of(columns, weights):
    fit = SimpleNamespace(
        design=SimpleNamespace(columns=tuple(columns), matrix=np.column_stack(list(columns.values()))),
        subjects=tuple("vwxyz"),
        within=None,
        coding="",
        levels={},
        margins={},
        contrast="c",
        input_cells=["c"] * 5,
    )
    return describe_estimand(fit, Contrast("k", "t", tuple(columns), np.array([weights], float))).text


def test_slopes_beside_groups_are_within_them_and_differences_begin_with_what_is_added():
    columns = {"group.a": A, "group.b": 1 - A, "age": np.array([1.0, -1, 0, 2, -2])}
    assert estimand_of(columns, [0, 0, 1]) == "change with one unit of age within groups"
    assert estimand_of(columns, [-1, 1, 0]) == (
        "difference between groups, group.b (2 subjects) - group.a (3 subjects); adjusted for age"
    )
    alone = {"intercept": np.ones(5), "age": columns["age"]}
    assert estimand_of(alone, [0, 1]) == "change with one unit of age"


def test_products_of_factors_are_named_by_them():
    columns = {"group.a": A, "group.b": 1 - A, "sex.F": F, "aF": A * F, "age": np.arange(5.0)}
    groups, known = groups_of(columns)
    assert groups == ["group.a sex.F", "group.a", "group.b sex.F", "group.b", "group.a sex.F"]
    assert {"aF", "group.b"} < known
    assert "age" not in known


def test_what_varies_within_subjects_makes_no_group():
    columns = {"group.a": [1.0, 1, 0, 0, 0], "late": [0.0, 1, 0, 1, 0], "contrast.A": [1.0, 0, 1, 0, 1]}
    groups, known = groups_of(columns, "vvwwx")
    assert groups == ["group.a", "group.a", "other subjects", "other subjects", "other subjects"]
    assert "late" in known
