"""Opening a saved generator, and refusing anything that is not exactly one."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch

from checkpoints.folders import model_folder, read_config, read_weights
from checkpoints.strict import first_fault
from rid.generator import PerturbationGenerator, sincos_positions

SIZES = tuple(inspect.signature(PerturbationGenerator).parameters)


def load_generator(name: str, dtype: torch.dtype = torch.float32) -> PerturbationGenerator:
    """Open a generator folder or Hub id, strictly.

    Args:
        name: Folder with ``config.json`` and ``model.safetensors``, or a Hub id.
        dtype: Precision of the weights; a generator that is still to be folded comes in float32.

    Returns:
        The generator in evaluation mode, its budget as stored with it.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the files are damaged or hold anything but this network's weights.
    """
    folder = model_folder(name, "config.json", "model.safetensors")
    config = read_config(folder)
    if unknown := sorted(set(config) - set(SIZES)):
        msg = f"{folder / 'config.json'}: unknown settings {', '.join(unknown)}; a generator has {', '.join(SIZES)}"
        raise ValueError(msg)
    if missing := sorted(set(SIZES) - {"folded"} - set(config)):
        msg = f"{folder / 'config.json'}: {', '.join(missing)} missing; export the generator again"
        raise ValueError(msg)
    try:
        with torch.device("meta"):  # sizes only: the file brings the values
            generator = PerturbationGenerator(**config)
    except (TypeError, ValueError) as error:
        msg = f"{folder / 'config.json'}: not a generator's settings ({error}); export the generator again"
        raise ValueError(msg) from error
    kept = dtype if config.get("folded") else torch.float32
    weights = read_weights(folder, kept)
    expected = {key: tuple(value.shape) for key, value in generator.state_dict().items()}
    if fault := first_fault(expected, weights):
        msg = f"{folder / 'model.safetensors'}: {fault}"
        raise ValueError(msg)
    generator.load_state_dict(weights, assign=True)
    side = generator.image_size // generator.patch_size
    generator.positions = sincos_positions(side, int(generator.settings["width"])).to(kept)
    return generator.eval()


def save_generator(generator: PerturbationGenerator, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, which :func:`load_generator` opens.

    Raises:
        FloatingPointError: If a weight is not finite; nothing is written.
    """
    if not all(parameter.isfinite().all() for parameter in generator.parameters()):
        msg = f"the generator has weights that are not finite and was not saved to {folder}: lower lr or use precision 32-true"
        raise FloatingPointError(msg)
    generator.save_pretrained(folder)
