from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xlt.data.batching import by_token_budget, epoch_batches


@given(st.integers(0, 200), st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_has_every_example_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(count, size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert all(len(batch) == size for batch in batches[:-1])
    assert batches == epoch_batches(count, size, seed, epoch)


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = {tuple(epoch_batches(50, 50, seed, epoch)[0]) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4
    assert tuple(range(50)) not in orders


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 60)), max_size=60), st.integers(1, 400))
def test_groups_hold_every_index_once_within_the_budget(sizes: list[tuple[int, int]], budget: int) -> None:
    costs, widths = [rows for rows, _ in sizes], [width for _, width in sizes]
    groups = by_token_budget(range(len(sizes)), costs, widths, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(sizes)))
    for group in groups:
        padded = sum(costs[i] for i in group) * max(widths[i] for i in group)
        assert padded <= budget or len(group) == 1
    flat = [widths[index] for group in groups for index in group]
    assert flat == sorted(flat, reverse=True)


def test_groups_by_hand() -> None:
    # longest first: 3 (width 10), then 0 and 2 (6, in the order given), then 1 (2). Budget 20: 3 and 0 make 2 x 10 = 20;
    # 2 would make 3 x 10; 2 and 1 make 2 x 6 = 12
    assert by_token_budget([0, 1, 2, 3], [1] * 4, [6, 2, 6, 10], 20) == [[3, 0], [2, 1]]
    # three rows each: 3 x 6 = 18 alone, 6 x 6 = 36 together
    assert by_token_budget([0, 1], [3, 3], [6, 6], 35) == [[0], [1]]
    assert by_token_budget([0, 1], [3, 3], [6, 6], 36) == [[0, 1]]
    assert by_token_budget([2, 0], [1, 1, 1], [5, 9, 5], 100) == [[2, 0]]  # a subset of the whole set
