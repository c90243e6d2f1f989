"""Opening a saved generator, and refusing anything that is not exactly one."""

from __future__ import annotations

import inspect
from pathlib import Path

from checkpoints.folders import model_folder, read_weights
from rid.generator import PerturbationGenerator

SIZES = tuple(inspect.signature(PerturbationGenerator).parameters)


def load_generator(name: str) -> PerturbationGenerator:
    """Open a generator folder or Hub id, strictly.

    Args:
        name: Folder with ``config.json`` and ``model.safetensors``, or a Hub id.

    Returns:
        The generator in evaluation mode, its budget as stored with it.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the files are damaged or hold anything but this network's weights.
    """
    folder = model_folder(name, "config.json", "model.safetensors")
    config, weights = read_weights(folder)
    if unknown := sorted(set(config) - set(SIZES)):
        msg = f"{folder / 'config.json'}: unknown settings {', '.join(unknown)}; a generator has {', '.join(SIZES)}"
        raise ValueError(msg)
    if missing := sorted(set(SIZES) - {"folded"} - set(config)):
        msg = f"{folder / 'config.json'}: {', '.join(missing)} missing; export the generator again"
        raise ValueError(msg)
    try:
        generator = PerturbationGenerator(**config)
    except (TypeError, ValueError) as error:
        msg = f"{folder / 'config.json'}: not a generator's settings ({error}); export the generator again"
        raise ValueError(msg) from error
    expected = {key: value.shape for key, value in generator.state_dict().items()}
    if problem := _mismatch(expected, {key: value.shape for key, value in weights.items()}):
        msg = f"{folder / 'model.safetensors'}: {problem}"
        raise ValueError(msg)
    if broken := [key for key, value in weights.items() if not value.isfinite().all()]:
        msg = f"{folder / 'model.safetensors'}: {broken[0]} holds values that are not finite; use an earlier checkpoint"
        raise ValueError(msg)
    generator.load_state_dict(weights)
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


def _mismatch(expected: dict[str, object], found: dict[str, object]) -> str:
    """What is wrong with the entries of a weight file, in one line; empty if nothing."""
    if found and all(key.startswith("module.") for key in found):
        return "every entry starts with 'module.', the mark of a wrapped training copy; export the bare generator instead"
    if missing := sorted(set(expected) - set(found)):
        return f"{len(missing)} of {len(expected)} entries are missing, the first is {missing[0]}; this is not a whole generator"
    if extra := sorted(set(found) - set(expected)):
        return f"{len(extra)} entries do not belong to a generator, the first is {extra[0]}"
    wrong = [key for key in expected if expected[key] != found[key]]
    if wrong:
        return f"{wrong[0]} has shape {found[wrong[0]]}, config.json asks for {expected[wrong[0]]}"
    return ""
