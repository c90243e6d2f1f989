"""Averages over edits, in the ascent and in training."""

import pytest
import torch

from checkpoints.folders import ROOT
from eval.attacks.purification import Crop, DiffPure, DownUp, GaussianNoise, Jpeg, RandomCrop
from models.noise import ShardedGenerator
from rid.edits import OverEdits, record, share_out
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.pairs.config import PGDConfig
from rid.pairs.objective import Objective
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd
from rid.training.task import RIDTask

DDPM = str(ROOT / "checkpoints" / "tiny" / "ddpm")

EDITS = [None, DownUp(0.5), Jpeg(75), RandomCrop(0.75)]


class Brightness(Objective):
    """Objective that is known: the sum of the values."""

    def __call__(self, images, generator):
        return images.sum(dim=(1, 2, 3))

    def start_round(self, clean, generator):
        self.started = clean

    def end_round(self, protected, generator):
        self.ended = protected


def test_the_objective_is_the_mean_over_all_edits(portraits):
    brightness = Brightness()
    objective = OverEdits(brightness, [None, Crop(0.5)])
    value = objective(portraits[:2], torch.Generator())
    cropped = Crop(0.5)(portraits[:2], torch.Generator())
    expected = (portraits[:2] + cropped).sum(dim=(1, 2, 3)) / 2
    assert torch.allclose(value, expected)
    objective.start_round(portraits, torch.Generator())
    objective.end_round(portraits, torch.Generator())
    assert brightness.started is portraits
    assert brightness.ended is portraits


def test_an_ascent_through_scaling_raises_the_loss_after_scaling_more(pipelines, portraits):
    images = portraits[:4]
    half = DownUp(0.5)
    objective = Denoising(pipelines[:1], prompt=" ")
    config = PGDConfig(steps=10, step_size=1.5, momentum=0.9)
    losses = {}
    for name, attacked in {"plain": objective, "through": OverEdits(objective, [half])}.items():
        protected = pgd(images, [attacked], 6, config, torch.Generator().manual_seed(0))
        edited = half(protected, torch.Generator())
        noises = [torch.Generator().manual_seed(seed) for seed in range(6)]
        losses[name] = sum(float(objective(edited, noise).mean()) for noise in noises)
    assert losses["through"] > losses["plain"]


def test_an_edit_without_gradients_is_refused(portraits):
    objective = OverEdits(Brightness(), [DiffPure(DDPM, steps=2)])
    images = portraits[:1].clone().requires_grad_()
    with pytest.raises(ValueError, match="DiffPure is not differentiable"):
        objective(images, torch.Generator())
    with pytest.raises(ValueError, match="edits is empty"):
        OverEdits(Brightness(), [])


def test_images_of_a_batch_meet_the_edits_in_turn(portraits):
    images = portraits[:6]
    edited = share_out(images, [None, DownUp(0.5)], seed=0)
    assert torch.equal(edited[::2], images[::2])
    expected = DownUp(0.5)(images[1::2], torch.Generator())
    assert torch.allclose(edited[1::2], expected, atol=1e-6)
    # a batch of one image meets the next edit
    halved = share_out(images[:1], [None, DownUp(0.5)], seed=0, first=1)
    assert torch.allclose(halved, DownUp(0.5)(images[:1], torch.Generator()), atol=1e-6)


def test_two_processes_meet_the_edits_of_one(portraits):
    images = portraits[:8]
    whole = share_out(images, EDITS, seed=3)
    for rank in (0, 1):
        part = share_out(images[rank::2], EDITS, seed=3, rank=rank, world_size=2)
        assert torch.allclose(part, whole[rank::2], atol=1e-6)


def test_a_record_names_class_settings_and_weights():
    entries = record([None, Crop(0.75), DiffPure(DDPM, steps=2)])
    assert entries[0] is None
    assert entries[1]["class"].endswith("Crop")
    assert entries[1]["keep"] == 0.75
    assert entries[2]["weights"]["sha256"]


@pytest.mark.parametrize("term", ["sds_weight", "denoising_weight"])
def test_training_goes_through_the_edits_and_back_to_the_generator(pipelines, portraits, term):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=2, heads=2)
    weights = {"sds_weight": 0.0, "denoising_weight": 0.0, term: 1.0}
    edits = [*EDITS, GaussianNoise(0.02)]
    task = RIDTask(generator, pipelines[:1], edits=edits, activation_checkpointing=True, **weights)
    task.ensemble = DiffusionEnsemble(pipelines[:1], offload=True)
    losses = set()
    for seed in (0, 1, 2):
        task.zero_grad()
        noise = ShardedGenerator(torch.Generator().manual_seed(seed))
        (loss,) = task._terms({"image": portraits[:5]}, noise).values()
        loss.backward()
        losses.add(float(loss.detach()))
        assert generator.to_pixels.weight.grad.abs().sum() > 0
    assert len(losses) == 3


def test_a_denoising_step_raises_the_surrogates_error(pipelines, portraits):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=1, heads=2)
    task = RIDTask(generator, pipelines[:1], sds_weight=0.0, denoising_weight=1.0)
    task.ensemble = DiffusionEnsemble(pipelines[:1])
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2)
    values = []
    for _ in range(8):
        noise = ShardedGenerator(torch.Generator().manual_seed(0))
        loss = task._terms({"image": portraits[:4]}, noise)["denoising"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


def test_the_diversity_term_keeps_perturbations_apart(pipelines, portraits):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=1, heads=2)
    torch.nn.init.normal_(generator.to_pixels.weight, std=0.1)
    torch.nn.init.normal_(generator.to_pixels.bias)  # a common pattern
    settings = {"sds_weight": 0.0, "denoising_weight": 1e-6, "diversity_weight": 1.0}
    task = RIDTask(generator, pipelines[:1], **settings)
    task.ensemble = DiffusionEnsemble(pipelines[:1])
    optimizer = torch.optim.Adam(generator.parameters(), lr=2e-2)
    shares = []
    for seed in range(12):
        noise = ShardedGenerator(torch.Generator().manual_seed(seed))
        terms = task._terms({"image": portraits[:4]}, noise)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        shares.append(float(terms["common_share"].detach()))
    assert shares[0] > 0.5
    assert shares[-1] < shares[0] / 2
    with pytest.raises(ValueError, match="batch_size of at least 2"):
        task._terms({"image": portraits[:1]}, ShardedGenerator(torch.Generator()))
