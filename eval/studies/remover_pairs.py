"""Pairs of clean and protected images, kept while a remover is trained on them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from checkpoints.tensors import read_safetensors
from datamodules.identities import IdentityDataset
from engine.files import atomic_write
from eval.arms import Arm
from eval.metrics.quality import quantize


def make_pairs(
    people: IdentityDataset, arm: Arm, seed: int, device: torch.device, folder: Path
) -> tuple[Tensor, Tensor, bool]:
    """Protect all people's images, or read those that a stopped run has protected.

    Args:
        people: Data set of persons.
        arm: The protection.
        seed: Seed of its random draws.
        device: Device of the protection.
        folder: Folder of a file for each person.

    Returns:
        Protected and clean images, (n, 3, S, S) in [0, 1] each, on the CPU; and whether all were
        read.

    Raises:
        ValueError: If there are fewer than two images.
    """
    protected, clean = [], []
    all_read = True
    for place in range(len(people)):
        person = people[place].copy()
        images = quantize(person["train"])
        file = folder / f"{place}.safetensors"
        pair = read_safetensors(file) if file.is_file() else {}
        if not torch.equal(pair.get("clean", torch.empty(0)), images):
            person["train"] = person["train"].to(device)
            changed = arm.protect(person, seed + 1000 * place).cpu()
            pair = {"clean": images.contiguous(), "protected": changed.contiguous()}
            folder.mkdir(exist_ok=True)
            with atomic_write(file) as partial:
                save_file(pair, partial)
            all_read = False
        clean.append(pair["clean"])
        protected.append(pair["protected"])
    if sum(map(len, clean)) < 2:
        msg = "a remover needs at least two images: one to train on, and one to measure"
        raise ValueError(msg)
    return torch.cat(protected), torch.cat(clean), all_read
