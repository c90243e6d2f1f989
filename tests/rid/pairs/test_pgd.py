import pytest
import torch

from images.io import to_uint8
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd


@pytest.fixture(scope="module")
def objective(pipelines):
    return Denoising(pipelines, prompt=" ")


@pytest.mark.parametrize("budget", [2, 6])
def test_the_bound_holds_after_rounding(objective, portraits, budget):
    config = PGDConfig(steps=4, step_size=3.0)
    protected = pgd(portraits, [objective], budget, config, torch.Generator().manual_seed(0))
    change = (to_uint8(protected).short() - to_uint8(portraits).short()).abs().max()
    assert change == budget
    assert protected.min() >= 0
    assert protected.max() <= 1


def test_the_same_seed_gives_the_same_pictures(objective, portraits):
    config = PGDConfig(steps=2)
    first, second = (
        pgd(portraits[:2], [objective], 6, config, torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_without_momentum_a_step_is_the_gradients_sign(objective, portraits):
    images = portraits[:1] * 0.5 + 0.25
    moved = (
        pgd(
            images,
            [objective],
            6,
            PGDConfig(steps=1, step_size=1, momentum=0),
            torch.Generator().manual_seed(0),
        )
        - images
    )
    assert torch.allclose(moved.abs().max(), torch.tensor(1 / 255))
    x = images.clone().requires_grad_()
    objective.ensemble.denoising_loss(x, torch.Generator().manual_seed(0)).sum().backward()
    assert torch.equal(moved.sign(), x.grad.sign())


def test_it_raises_the_loss_it_climbs(objective, portraits):
    protected = pgd(
        portraits,
        [objective],
        12,
        PGDConfig(steps=15, step_size=2),
        torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        before, after = (
            torch.stack(
                [
                    objective.ensemble.denoising_loss(x, torch.Generator().manual_seed(seed)).mean()
                    for seed in range(8)
                ]
            ).mean()
            for x in (portraits, protected)
        )
    assert after > before
