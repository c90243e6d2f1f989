import pytest
import torch

from images.io import to_uint8
from rid.pairs.config import PGDConfig
from rid.pairs.objective import Objective
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd


class Slopes(Objective):
    """Objective of known gradients, in turn; it keeps the images that it is asked about."""

    def __init__(self, *slopes):
        self.slopes = [torch.tensor(slope).view(1, 1, 1, -1) for slope in slopes]
        self.seen = []

    def __call__(self, images, generator):
        slope = self.slopes[len(self.seen) % len(self.slopes)]
        self.seen.append(images.detach())
        return (slope * images).sum(dim=(1, 2, 3))


def gray(width=2):
    return torch.full((1, 3, 1, width), 0.5)


def moved(protected):
    """Gray levels by which a row of pixels has moved."""
    return [round(float(value), 3) for value in (protected - 0.5)[0, 0, 0] * 255]


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


def test_an_ensemble_averages_its_results_after_each_round():
    """E-ASPL and RID's pairs: every model starts a round from the images they share."""
    first, second = Slopes([1.0, 1.0]), Slopes([1.0, -1.0])
    config = PGDConfig(steps=2, step_size=1, momentum=0, outer_steps=2)
    protected = pgd(gray(), [first, second], 6, config, torch.Generator())
    # a round: (+2, +2) and (+2, -2), on average (+2, 0)
    assert moved(protected) == [4, 0]
    for model in (first, second):
        assert moved(model.seen[2]) == [2, 0]


def test_momentum_is_of_gradients_by_their_mean_size_over_all_models():
    first, second = Slopes([1.0, 3.0]), Slopes([-8.0, -8.0])
    config = PGDConfig(steps=1, step_size=1, momentum=0.9)
    protected = pgd(gray(), [first, second], 6, config, torch.Generator())
    # velocity: (0.5, 1.5), then 0.9 * (0.5, 1.5) - (1, 1) = (-0.55, 0.35)
    # results: (+1, +1) and (-1, +1), on average (0, +1)
    assert moved(protected) == [0, 1]
