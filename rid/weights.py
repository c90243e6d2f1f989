"""Loading and saving of generators."""

from __future__ import annotations

from pathlib import Path

import torch

from rid.generator import PerturbationGenerator


def load_generator(name: str, dtype: torch.dtype = torch.float32) -> PerturbationGenerator:
    """Load a generator; missing and unexpected weights are errors.

    Args:
        name: Folder with ``config.json`` and ``model.safetensors``, Lightning checkpoint, registry
            name, or Hub id.
        dtype: Precision of the weights; a generator that is not folded stays in float32.

    Returns:
        The generator in evaluation mode, with its stored budget.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the files are damaged or do not hold exactly this network's weights.
    """
    generator = PerturbationGenerator.from_pretrained(name)
    generator.origin = name
    return generator.to(dtype) if generator.modulation is None else generator


def save_generator(generator: PerturbationGenerator, folder: Path) -> None:
    """Write a model folder that :func:`load_generator` opens.

    See :meth:`checkpoints.saved.SavedModel.save_pretrained`.
    """
    generator.save_pretrained(folder)
