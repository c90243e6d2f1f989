"""The optimisation, against runs computed once from its formulas, and its bounds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from indexing.activation import DescriptorObjective, activate
from indexing.activation_config import ActivationConfig
from indexing.jnd import just_noticeable_difference
from indexing.perturbation import Distortion
from models.preprocessing import Preprocessing


def waves():
    """Two pictures of different sizes, (3, H, W) in [0, 1]."""
    made = []
    for height, width, phase in ((64, 96, 0), (80, 64, 1)):
        y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
        levels = (
            127.5
            + 60 * np.sin(0.31 * x + 0.17 * y * (c + 1) + phase)
            + 40 * np.cos(0.05 * x * y / (c + 2))
        )
        made.append(torch.from_numpy(np.round(levels).clip(0, 255)).permute(2, 0, 1).float() / 255)
    return made


def describe(images):
    """Pooled pictures through a fixed matrix, of unit length."""
    rows, columns = torch.meshgrid(torch.arange(1, 17), torch.arange(1, 193), indexing="ij")
    matrix = torch.sin(0.7 * rows.double() * columns.double()).float()
    return F.normalize(F.adaptive_avg_pool2d(images, 8).flatten(1) @ matrix.T, dim=1)


def objective(antialias=True):
    targets = torch.stack([torch.cos(0.9 * torch.arange(16) + b) for b in range(2)])
    return DescriptorObjective(describe, Preprocessing(32, antialias=antialias), targets)


def psnr(levels, original):
    return 10 * np.log10(
        255**2 / float((levels.double() - (original * 255).round().double()).square().mean())
    )


def test_the_pictures_are_those_of_the_known_runs():
    one, two = waves()
    assert (one[:, 3, 5] * 255).round().int().tolist() == [218, 199, 170]
    assert (two[:, 3, 5] * 255).round().int().tolist() == [170, 141, 118]
    assert [float(one.mean()), float(two.mean())] == pytest.approx([0.503887, 0.505624], abs=1e-5)
    heat = [255 * just_noticeable_difference(picture) for picture in (one, two)]
    assert [float(h.mean()) for h in heat] == pytest.approx([14.75860, 14.85143], abs=1e-3)
    assert [float(h.max()) for h in heat] == pytest.approx([32.49676, 33.85956], abs=1e-3)


KNOWN = {
    ("cossim", True): (
        [
            -0.01813,
            -0.13738,
            -0.16819,
            -0.17379,
            -0.17528,
            -0.17583,
            -0.17605,
            -0.17617,
            -0.17625,
            -0.17630,
            -0.176340,
        ],
        (35.6498, 35.6061),
        (14, 14),
    ),
    ("cossim", False): (
        [
            -0.02189,
            -0.14589,
            -0.17773,
            -0.18342,
            -0.18490,
            -0.18544,
            -0.18568,
            -0.18584,
            -0.18599,
            -0.18613,
            -0.186252,
        ],
        (40.6412, 36.5481),
        (13, 14),
    ),
    ("l2", True): (
        [
            8.75836,
            8.08855,
            7.91615,
            7.88499,
            7.87658,
            7.87345,
            7.87215,
            7.87148,
            7.87104,
            7.87077,
            7.870580,
        ],
        (35.6491, 35.6018),
        (14, 14),
    ),
}


@pytest.mark.parametrize(("loss", "antialias"), KNOWN)
def test_ten_steps_come_out_as_known(loss, antialias):
    losses, quality, largest = KNOWN[loss, antialias]
    pictures = waves()
    for seed in (0, 1):
        found = activate(pictures, [objective(antialias)], ActivationConfig(loss=loss, seed=seed))
        assert found.losses == pytest.approx(losses, abs=2e-4)
        assert [
            psnr(*pair) for pair in zip(found.images_u8, pictures, strict=True)
        ] == pytest.approx(quality, abs=0.02)
        changes = [
            (levels.int() - (picture * 255).round().int()).abs()
            for levels, picture in zip(found.images_u8, pictures, strict=True)
        ]
        assert [int(change.max()) for change in changes] == list(largest)
        if loss == "cossim" and not antialias:
            assert changes[0].float().mean(dim=(1, 2)).tolist() == pytest.approx(
                [0.7951, 0.3854, 2.0519], abs=5e-3
            )
            assert float((changes[0].amax(dim=0) > 0).float().mean()) == pytest.approx(
                0.33, abs=0.01
            )


def test_the_change_stays_within_the_closed_form_bound():
    pictures = waves()
    for scaling in (1.0, 3.0, 6.0):
        config = ActivationConfig(distortion=Distortion(scaling=scaling))
        for levels, picture in zip(
            activate(pictures, [objective()], config).images_u8, pictures, strict=True
        ):
            heat = 255 * just_noticeable_difference(picture)
            bound = scaling * heat * torch.tensor([0.05514, 0.02748, 0.14211]).view(3, 1, 1)
            assert torch.allclose(config.distortion.bound(picture[None])[0], bound, rtol=1e-3)
            assert ((levels - (picture * 255).round()).abs() <= bound + 0.5 + 1e-3).all()


def test_less_strength_is_less_visible():
    pictures = waves()
    found = [
        psnr(
            activate(
                pictures, [objective()], ActivationConfig(distortion=Distortion(scaling=s))
            ).images_u8[0],
            pictures[0],
        )
        for s in (1, 3, 6)
    ]
    assert found[0] > found[1] > found[2]


def test_limits_hold_after_rounding():
    pictures = waves()
    config = ActivationConfig(min_psnr=42.0, max_levels=6)
    found = activate(pictures, [objective()], config)
    for levels, picture in zip(found.images_u8, pictures, strict=True):
        assert 42.0 <= psnr(levels, picture) < 43.5
        assert (levels.int() - (picture * 255).round().int()).abs().max() <= 6


@pytest.mark.parametrize("views", [0, 2])
def test_pictures_of_many_sizes_come_back_in_order_as_if_alone(views):
    config = ActivationConfig(iterations=4, views=views)
    pictures = [waves()[index % 2] * (0.5 + 0.1 * index) for index in range(5)]
    targets = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    together = activate(pictures, [replace(objective(), targets=targets)], config)
    assert [tuple(levels.shape) for levels in together.images_u8] == [
        tuple(picture.shape) for picture in pictures
    ]
    for index in range(5):
        alone = activate(
            [pictures[index]], [replace(objective(), targets=targets[index : index + 1])], config
        )
        difference = alone.images_u8[0].short() - together.images_u8[index].short()
        assert float((difference != 0).float().mean()) < 0.002  # sums of batches are rounded
        assert int(difference.abs().max()) <= 1


def test_several_targets_at_once():
    pictures, other = (
        waves(),
        DescriptorObjective(
            lambda images: describe(images)[:, :8], Preprocessing(32), torch.eye(8)[:2]
        ),
    )
    found = activate(pictures, [objective(), other], ActivationConfig())
    assert found.losses[-1] < found.losses[0]


def test_edited_views_and_schedules_are_taken_along():
    config = ActivationConfig(
        iterations=3, views=2, scheduler="CosineAnnealingLR,T_max=3", optimizer="Adam,lr=0.5"
    )
    first, second = (activate(waves(), [objective()], config) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.images_u8, second.images_u8, strict=True))
    alone = activate(waves(), [objective()], ActivationConfig(iterations=3))
    assert not torch.equal(first.images_u8[0], alone.images_u8[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "Adamm,lr=1"}, "torch.optim has no class 'Adamm'"),
        ({"optimizer": "Adam,rate=1"}, "does not take these settings"),
        ({"scheduler": "Nothing"}, "has no class 'Nothing'"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"min_psnr": -1.0}, "min_psnr between 0 and 100"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ValueError, match=words):
        ActivationConfig(**settings)
