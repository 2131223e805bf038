"""Work side by side in threads: order, and failures."""

import threading

import pytest

from bidsapp.job.threads import map_in_threads


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_come_in_the_order_of_the_items(n_threads):
    assert map_in_threads(lambda item: item * 2, [3, 1, 2], n_threads) == [6, 2, 4]


def test_items_are_treated_side_by_side():
    together = threading.Barrier(2, timeout=20)
    assert map_in_threads(lambda item: together.wait() >= 0 and item, "ab", 2) == ["a", "b"]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_failure_of_an_item_is_raised(n_threads):
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda item: 1 / item, [1, 0, 2, 3], n_threads)
