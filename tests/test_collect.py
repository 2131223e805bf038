"""What belongs to one key."""

from bidsapp.records.collect import collect


def test_values_keep_their_order_under_keys_in_the_order_met():
    found = collect([("b", 2), ("a", 1), ("b", 1)])
    assert list(found.items()) == [("b", [2, 1]), ("a", [1])]
    assert collect([]) == {}
