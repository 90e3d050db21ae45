"""The worst of many items."""

from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.reporting.worst import Worst


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 6))
def test_as_if_all_were_sorted(badness, count):
    worst = Worst(count)
    for number, bad in enumerate(badness):
        worst.add(bad, lambda: (bad, number))  # noqa: B023 -- called at once
    every = [(bad, number) for number, bad in enumerate(badness)]
    assert worst.items() == sorted(every, key=lambda item: -item[0])[:count]


def test_an_item_that_is_not_kept_is_not_made():
    made = []
    worst = Worst(1)
    for bad in (3, 1, 2, 4):
        worst.add(bad, lambda: made.append(bad) or bad)  # noqa: B023 -- called at once
    assert worst.items() == [4] and made == [3, 4]
