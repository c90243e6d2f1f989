"""Opening a saved generator, and refusing anything that is not exactly one."""

from __future__ import annotations

from pathlib import Path

import torch

from rid.generator import PerturbationGenerator


def load_generator(name: str, dtype: torch.dtype = torch.float32) -> PerturbationGenerator:
    """Open a generator, strictly.

    Args:
        name: Folder with ``config.json`` and ``model.safetensors``, a Lightning checkpoint, a name of the registry, or a Hub id.
        dtype: Precision of the weights; a generator that is still to be folded comes in float32.

    Returns:
        The generator in evaluation mode, its budget as stored with it.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the files are damaged or hold anything but this network's weights.
    """
    generator = PerturbationGenerator.from_pretrained(name)
    generator.origin = name
    return generator.to(dtype) if generator.modulation is None else generator


def save_generator(generator: PerturbationGenerator, folder: Path) -> None:
    """Write the folder that :func:`load_generator` opens; see :meth:`checkpoints.saved.SavedModel.save_pretrained`."""
    generator.save_pretrained(folder)
