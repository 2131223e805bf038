"""Which subjects are marked as unusual."""

import numpy as np
import pytest

from bidsapp.report.sections.group_quality import unusual


def test_a_far_value_is_marked():
    assert unusual(np.array([1.0, 1.1, 0.9, 1.05, 9.0])).tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("values", [[1.0, 2.0, 90.0], [1.0, 1.0, 1.0, 1.0], [np.nan] * 5])
def test_few_equal_or_missing_values_mark_nobody(values):
    assert not unusual(np.array(values)).any()


def test_missing_values_do_not_hide_a_far_one():
    marked = unusual(np.array([1.0, np.nan, 1.1, 0.9, 1.05, 9.0]))
    assert marked.tolist() == [False, False, False, False, False, True]
