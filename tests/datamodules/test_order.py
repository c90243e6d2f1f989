import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.order import LateLoader, ResumableSampler


@given(
    length=st.integers(8, 60),
    batch=st.integers(1, 4),
    world=st.integers(1, 2),
    seen=st.integers(0, 40),
)
def test_a_resumed_order_goes_on_where_it_was(length, batch, world, seen):
    place = [0]
    samplers = [
        ResumableSampler(length, batch, 3, lambda: place[0], rank, world) for rank in range(world)
    ]
    for sampler in samplers:
        epoch, done = divmod(seen, sampler.batches)
        place[0] = epoch * sampler.batches
        whole = list(sampler)
        place[0] = seen
        assert list(sampler) == whole[done * batch :]
        assert len(whole) == len(sampler)


def test_ranks_share_an_epoch_without_overlap():
    halves = [set(ResumableSampler(20, 5, 0, lambda: 0, rank, 2)) for rank in range(2)]
    assert halves[0].isdisjoint(halves[1])
    assert len(halves[0] | halves[1]) == 20


def test_epochs_differ():
    place = [0]
    sampler = ResumableSampler(20, 5, 0, lambda: place[0])
    first = list(sampler)
    place[0] = 4
    assert list(sampler) != first
    assert sorted(sampler) == sorted(first)


def test_too_few_pictures():
    with pytest.raises(ValueError, match="fewer than one batch of 8"):
        ResumableSampler(7, 8, 0, lambda: 0)


def test_a_loader_starts_with_its_first_batch():
    place, started = [0], []
    sampler = ResumableSampler(24, 4, 0, lambda: place[0])
    loader = LateLoader(
        list(range(24)),
        lambda: started.append(place[0]),
        batch_size=4,
        sampler=sampler,
        num_workers=1,
        persistent_workers=True,
    )
    batches = iter(loader)
    place[0] = 2
    whole = list(sampler)
    assert started == []
    assert [int(n) for batch in batches for n in batch] == whole
    assert started == [2]
    place[0] = 6
    assert [int(n) for batch in loader for n in batch] == list(sampler)
