"""Batches are of one size, hold each item once, and nothing waits for long."""

from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.inference.batches import by_size


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 5))
def test_batches_by_size(sizes, batch_size):
    taken = []

    def items():
        for item in enumerate(sizes):
            taken.append(item)
            yield item

    given_out = []
    for batch in by_size(items(), lambda item: item[1], batch_size):
        assert 0 < len(batch) <= batch_size and len({size for _, size in batch}) == 1
        given_out += batch
        assert len(taken) - len(given_out) <= 4 * batch_size * 2 + batch_size
        waiting = set(taken) - set(given_out)
        assert all(len(taken) - number <= 4 * batch_size + 1 for number, _ in waiting) or len(taken) == len(sizes)
    assert sorted(given_out) == list(enumerate(sizes))


def test_one_by_one_keeps_the_order():
    assert [batch for batch in by_size(range(9), lambda item: item % 3, 1)] == [[item] for item in range(9)]
