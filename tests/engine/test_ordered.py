"""Ordered thread pools: order of results, limit of waiting results, and errors."""

import pytest

from engine.ordered import OrderedThreadPool, map_ahead


def test_a_pool_hands_results_on_in_order_and_holds_no_more_than_its_limit():
    taken = []
    held = []
    most = []

    def work(number):
        held.append(number)
        most.append(len(held) - len(taken))
        return number

    pool = OrderedThreadPool(taken.append, 3, max_weight=5)
    for number in range(30):
        pool.add(2, work, number)
        assert pool.waiting_weight <= 5
    pool.drain()
    pool.close()
    assert taken == list(range(30))


def test_a_failure_of_a_pool_reaches_the_caller():
    taken = []
    pool = OrderedThreadPool(lambda number: taken.append(6 // number), 2, max_weight=10)
    for number in (1, 0):
        pool.add(1, int, number)
    with pytest.raises(ZeroDivisionError):
        pool.drain()
    pool.close()
    assert taken == [6]


def test_work_ahead_keeps_the_order_and_its_limit():
    made = []

    def work(number):
        made.append(number)
        return -number

    ahead = map_ahead(work, range(20), 3, weigh=lambda _: 4, max_weight=8, max_count=10)
    for place, (number, result) in enumerate(ahead):
        assert (number, result) == (place, -place)
        assert len(made) <= place + 3
    assert list(map_ahead(work, [1, 2], 0, lambda _: 1, 1, 1)) == [(1, -1), (2, -2)]
