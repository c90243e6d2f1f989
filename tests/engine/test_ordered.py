"""Results come in the order of the work, never too many wait, and a failure is the caller's to see."""

import threading

import pytest

from engine.ordered import InOrder


def test_results_come_in_order_though_the_first_is_the_last_to_be_done():
    taken, others = [], threading.Event()

    def work(number):
        if number == 0:
            others.wait()
        if number == 3:
            others.set()
        return number

    photos = InOrder(taken.append, 2, 20, 0)
    for number in range(20):
        photos.add(work, number)
        assert len(photos.waiting) <= 8
    photos.close()
    assert taken == list(range(20))


def test_a_failure_reaches_the_caller_after_what_came_before():
    taken = []
    photos = InOrder(taken.append, 2, 3, 0)
    for divisor in (1, 0, 2):
        photos.add(lambda by: 6 // by, divisor)
    with pytest.raises(ZeroDivisionError):
        photos.close()
    assert taken == [6]
