"""The groups that the estimands of a design are told by."""

from types import SimpleNamespace

import numpy as np

from bidsapp.group.estimands import find_groups

A, F = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 0, 1])


def groups_of(columns, subjects="vwxyz"):
    design = SimpleNamespace(columns=tuple(columns), matrix=np.column_stack(list(columns.values())))
    return find_groups(SimpleNamespace(design=design, subjects=tuple(subjects)))


def test_products_of_factors_are_named_by_them():
    columns = {"group.a": A, "group.b": 1 - A, "sex.F": F, "aF": A * F, "age": np.arange(5.0)}
    groups, known = groups_of(columns)
    assert groups == ["group.a sex.F", "group.a", "group.b sex.F", "group.b", "group.a sex.F"]
    assert {"aF", "group.b"} < known
    assert "age" not in known


def test_what_varies_within_subjects_makes_no_group():
    columns = {"group.a": [1.0, 1, 0, 0, 0], "late": [0.0, 1, 0, 1, 0], "contrast.A": [1.0, 0, 1, 0, 1]}
    groups, known = groups_of(columns, "vvwwx")
    assert groups == ["group.a", "group.a", "all subjects", "all subjects", "all subjects"]
    assert "late" in known
