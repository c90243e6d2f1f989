"""Averages over edits, for protection that survives them.

Expectation over transformation (arXiv 1707.07397) with a fixed list of edits: all of them count in
every gradient. A single random edit per gradient protects less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from checkpoints.folders import model_folder
from engine.manifest import fingerprint
from images.transforms.purifier import Purifier
from rid.pairs.objective import ModelObjective, Objective


class OverEdits(Objective):
    """Mean of an objective over edited images.

    Args:
        objective: Objective of one gradient.
        edits: Differentiable edits; ``None`` leaves the images as they are.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, objective: Objective, edits: Sequence[Purifier | None]) -> None:
        if not edits:
            msg = "edits is empty: name at least one, or null for the image as it is"
            raise ValueError(msg)
        self.objective = objective
        self.edits = edits

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        values = []
        for edit in self.edits:
            edited = apply(edit, images, generator)
            values.append(self.objective(edited, generator))
        return torch.stack(values).mean(dim=0)

    def to(self, device: torch.device | str) -> Self:
        move(self.edits, device)
        self.objective.to(device)
        return self

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        move(self.edits, clean.device)
        self.objective.start_round(clean, generator)

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        self.objective.end_round(protected, generator)


def list_objectives(
    objective: ModelObjective, edits: Sequence[Purifier | None], alternate_models: bool
) -> list[Objective]:
    """List the objectives of an ascent: one per model in turn, or one for all.

    Args:
        objective: The objective and its models.
        edits: Edits to average over; none for the images as they are.
        alternate_models: Attack the models one after another.
    """
    plain: Sequence[Objective] = [objective]
    if alternate_models or objective.one_model:
        plain = objective.per_model()
    return [OverEdits(one, edits) for one in plain] if edits else list(plain)


def apply(edit: Purifier | None, images: Tensor, generator: torch.Generator) -> Tensor:
    """Edit images and check that gradients pass.

    Args:
        edit: The edit; None for none.
        images: (B, 3, S, S) in [0, 1].
        generator: Source of the edit's random draws.

    Raises:
        ValueError: If the images need a gradient and the edit stops it.
    """
    if edit is None:
        return images
    edited = edit(images, generator)
    if images.requires_grad and not edited.requires_grad:
        msg = (
            f"{type(edit).__name__} is not differentiable, so nothing can be trained through it; "
            "OneStepDiffusion is the differentiable diffusion purifier"
        )
        raise ValueError(msg)
    return edited.clamp(0, 1)


def share_out(
    images: Tensor,
    edits: Sequence[Purifier | None],
    seed: int,
    first: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Tensor:
    """Edit images in turn, the same number with every edit.

    The turn goes on from batch to batch, so that small batches meet all edits, too. The rows of a
    global batch meet the same edits on any number of processes, with the same crop windows. Noise
    on a row depends on the number.

    Args:
        images: This process's rows, (B, 3, S, S) in [0, 1].
        edits: The edits; None leaves its images as they are.
        seed: Seed of the edits' random draws, at least 0.
        first: Number of images, of all processes, in the batches before.
        rank: Index of this process.
        world_size: Number of processes.

    Returns:
        (B, 3, S, S) in [0, 1], in the order of the images.
    """
    rows = first + torch.arange(len(images)) * world_size + rank
    edited = torch.empty_like(images)
    for number, edit in enumerate(edits):
        chosen = (rows % len(edits) == number).nonzero().flatten().to(images.device)
        if len(chosen):
            generator = torch.Generator().manual_seed(seed + number)
            edited = edited.index_copy(0, chosen, apply(edit, images[chosen], generator))
    return edited


def record(edits: Sequence[Purifier | None]) -> list[dict[str, Any] | None]:
    """Describe edits and their weights, for a manifest."""
    entries: list[dict[str, Any] | None] = []
    for edit in edits:
        if edit is None:
            entries.append(None)
            continue
        weights = [fingerprint(model, model_folder(model)) for model in edit.models()]
        entry = edit.record()
        if weights:
            entry["weights"] = weights[0] if len(weights) == 1 else weights
        entries.append(entry)
    return entries


def move(edits: Sequence[Purifier | None], device: torch.device | str) -> None:
    """Move the edits' models to a device."""
    for edit in edits:
        if edit is not None:
            edit.to(device)
