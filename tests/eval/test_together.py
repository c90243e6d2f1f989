"""The defenses on the same images: orders, budgets, keys, and what is compared with what."""

import numpy as np
import pytest

from benchmarks.interference import Figures, compared, differences, parts, without
from benchmarks.together import Defenses, build_index, drawn, measure, orders

BUDGET = 6


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Figures of three portraits, large enough for every key to be read."""
    folder = tmp_path_factory.mktemp("index")
    distractors = drawn(1_500_000, 120)
    index = build_index(distractors, "checkpoints/tiny/copies", folder, "IVF3,PQ4x4")
    return measure(Defenses(index), drawn(1_000_000, 3, 128))


def test_every_order_of_every_set_of_steps_is_there_once(figures):
    listed = orders()
    assert len(set(listed)) == len(listed)
    single = [order for order in listed if not any("+" in step for step in order)]
    assert sorted(map(len, single)) == [0, 1, 1, 1, *[2] * 6, *[3] * 6]
    assert all(len(parts(order)) == len(order) for order in single)
    assert list(figures) == listed


def test_a_chain_keeps_the_sum_of_its_steps_within_one_budget(figures):
    for order in (("protect + activate",), ("activate + protect",)):
        assert 0 < figures[order].levels.max() <= BUDGET
    for order in (("protect", "activate"), ("activate", "protect")):
        assert BUDGET < figures[order].levels.max() <= 2 * BUDGET


def test_a_key_is_read_where_the_plate_is_last(figures):
    last = [order for order in figures if order and order[-1] == "plant"]
    assert len(last) == 5
    assert all(figures[order].legible.all() for order in last)
    assert figures["activate", "protect"].legible.size == 0


def test_differences_are_those_of_the_same_images(figures):
    rows = differences(figures)
    assert set(rows) == set(figures) - {()}
    rise = (figures["protect",].error - figures[()].error).mean()
    assert rows["protect",][0].mean == pytest.approx(rise)
    assert rise > 0
    added = (figures["plant", "protect"].error - figures["plant",].error).mean()
    assert rows["plant", "protect"][0].mean == pytest.approx(added - rise)
    assert rows["plant", "protect"][1] is None
    published = figures["plant", "activate"].recall_of_published
    gained = (published - figures["activate",].recall_of_published).mean()
    assert rows["plant", "activate"][2].mean == pytest.approx(gained)
    for row in rows.values():
        assert all(one.interval.low <= one.mean <= one.interval.high for one in row if one)


def test_steps_are_taken_out_of_orders_and_chains():
    assert without(("plant", "protect + activate"), "protect") == ("plant", "activate")
    assert without(("activate + protect",), "activate") == ("protect",)
    assert without(("protect",), "protect") == ()
    assert parts(()) == set()


def test_a_difference_is_sure_only_together_with_all_others():
    def of(shift, images=60):
        values = shift + np.sin(np.arange(images))
        return Figures(
            levels=np.zeros(images, int),
            psnr=values,
            error=values,
            recall_of_originals=np.zeros(images),
            recall_of_published=np.zeros(images),
            legible=np.array([], bool),
            probability=np.zeros(images),
            verdict=np.full(images, "real"),
        )

    none = of(0)
    weak = of(0)
    weak.error[:] += 0.25 * np.cos(np.arange(60)) + 0.05
    figures = {(): none, ("protect",): weak, ("activate",): none}
    small = differences(figures)["protect",][0]
    assert small.interval.low > 0
    assert not small.sure
    assert differences(figures | {("protect",): of(1)})["protect",][0].sure
    recall, _, _, _, doubted = differences(figures)["activate",][1:]
    assert recall.mean == 0
    assert -0.07 < recall.interval.low < 0 < recall.interval.high < 0.07
    assert not doubted.sure
    assert compared(("activate",), figures)[0] is None
