"""Reading and writing of the released RID checkpoint format.

A released file is a bare PyTorch state dict of a DiT. Its label table, timestep MLP and adaLN
matrices are unused, as the condition is always zero. At the paper's size it has 152 entries and
343,057,152 values. It does not store the perturbation budget.

Letters: W = width, P = patch side, N = tokens.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path

import torch
from torch import Tensor

from checkpoints.safe import read_state_dict
from checkpoints.strict import first_mismatch
from checkpoints.tensors import in_float32
from engine.files import atomic_write, file_digest
from engine.manifest import write_manifest
from rid.generator import PerturbationGenerator, sincos_positions
from rid.weights import load_generator, save_generator

Shapes = dict[str, tuple[int, ...]]

TIMESTEP_FEATURES = 256
LABELS = 1001
"""Rows of the unused label table: 1000 classes and the null class."""

RENAMED = {
    "x_embedder.proj": "patches",
    "final_layer.linear": "to_pixels",
    ".attn.": ".",
    ".mlp.": ".",
}
MODULATION = "adaLN_modulation.1."


def released_shapes(
    width: int, depth: int, patch: int, tokens: int, labels: int = LABELS
) -> Shapes:
    """List the entries of a released file with their shapes.

    Args:
        width: Token width.
        depth: Number of blocks.
        patch: Patch side in pixels.
        tokens: Tokens per image.
        labels: Rows of the label table.
    """
    pixels = 3 * patch**2
    shapes: Shapes = {
        "pos_embed": (1, tokens, width),
        "x_embedder.proj.weight": (width, 3, patch, patch),
        "x_embedder.proj.bias": (width,),
        "t_embedder.mlp.0.weight": (width, TIMESTEP_FEATURES),
        "t_embedder.mlp.0.bias": (width,),
        "t_embedder.mlp.2.weight": (width, width),
        "t_embedder.mlp.2.bias": (width,),
        "y_embedder.embedding_table.weight": (labels, width),
    }
    for index in range(depth):
        rows = {
            "attn.qkv": (3, 1),
            "attn.proj": (1, 1),
            "mlp.fc1": (4, 1),
            "mlp.fc2": (1, 4),
            "adaLN_modulation.1": (6, 1),
        }
        for name, (outputs, inputs) in rows.items():
            shapes[f"blocks.{index}.{name}.weight"] = (outputs * width, inputs * width)
            shapes[f"blocks.{index}.{name}.bias"] = (outputs * width,)
    shapes["final_layer.linear.weight"] = (pixels, width)
    shapes["final_layer.linear.bias"] = (pixels,)
    shapes["final_layer.adaLN_modulation.1.weight"] = (2 * width, width)
    shapes["final_layer.adaLN_modulation.1.bias"] = (2 * width,)
    return shapes


def own_name(key: str) -> str:
    """Translate a released entry's name; empty for unused entries."""
    is_conditioning = key.startswith(("t_embedder.", "y_embedder."))
    if key == "pos_embed" or is_conditioning or key.endswith(MODULATION + "weight"):
        return ""
    if key.endswith(MODULATION + "bias"):
        return key.removesuffix(MODULATION + "bias").removeprefix("final_layer.") + "modulation"
    for theirs, ours in RENAMED.items():
        key = key.replace(theirs, ours)
    return key


def named_budget(file: Path) -> float | None:
    """Read the budget from a released file's name, in gray levels.

    ``eps-12`` means 12/255 on [-1, 1], which is 6 levels. None if the name states no budget.
    """
    found = re.search(r"(?<![a-z])eps[-_]?(\d+(?:\.\d+)?)", file.name, re.IGNORECASE)
    return float(found[1]) / 2 if found else None


def import_released(
    source: Path, target: Path, budget: float, heads: int = 8
) -> PerturbationGenerator:
    """Convert a released file to a folded model folder, atomically.

    Args:
        source: The released file.
        target: Folder to write; :func:`rid.weights.load_generator` opens it.
        budget: Bound in gray levels of 255.
        heads: Attention heads.

    Returns:
        The generator that was written.
    """
    generator = read_released(source, budget, heads).fold()
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    save_generator(generator, partial)
    write_manifest(
        partial,
        command="checkpoints convert",
        source={"name": source.name, "sha256": file_digest(source)},
        budget_levels=budget,
    )
    os.replace(partial, target)
    return generator


def export_released(source: Path, target: Path) -> PerturbationGenerator:
    """Convert a model folder to a released file, atomically."""
    generator = load_generator(str(source))
    with atomic_write(target) as partial:
        torch.save(to_released(generator), partial)
    return generator


def read_released(path: Path, budget: float, heads: int = 8) -> PerturbationGenerator:
    """Read a released checkpoint as a generator, not folded.

    Args:
        path: The file; no code in it is run.
        budget: Bound in gray levels of 255, which the file does not store; 6 for eps-12 releases.
        heads: Attention heads, which the file does not store either; 8 in all releases.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or not a complete released generator; the message names
            the first fault.
    """
    state = read_state_dict(path)
    try:
        return from_released(state, budget, heads)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def from_released(state: dict[str, Tensor], budget: float, heads: int = 8) -> PerturbationGenerator:
    """Build a generator from a released state dict.

    Args:
        state: Content of the file.
        budget: Bound in gray levels of 255.
        heads: Attention heads.

    Raises:
        ValueError: If the entries are not those of a released generator.
    """
    sizes = _check(state)
    state = in_float32(state)
    side = math.isqrt(sizes["tokens"])
    generator = PerturbationGenerator(
        budget, side * sizes["patch"], sizes["patch"], sizes["width"], sizes["depth"], heads
    )
    weights = {}
    for key, value in state.items():
        if name := own_name(key):
            weights[name] = value.view(-1, sizes["width"]) if name.endswith("modulation") else value
    generator.load_state_dict(weights)
    return generator.eval()


def to_released(generator: PerturbationGenerator) -> dict[str, Tensor]:
    """Build the state dict that the reference code loads strictly.

    Unused entries are zero. A folded generator gets shift 0, scale 0 and gate 1, the same function.
    """
    sizes = generator.settings
    width = int(sizes["width"])
    tokens = (generator.image_size // generator.patch_size) ** 2
    shapes = released_shapes(width, int(sizes["depth"]), generator.patch_size, tokens)
    state = {key: torch.zeros(shape) for key, shape in shapes.items()}
    state["pos_embed"] = sincos_positions(generator.image_size // generator.patch_size, width)
    own = {key: value.float().cpu() for key, value in generator.state_dict().items()}
    for key, shape in shapes.items():
        name = own_name(key)
        if name in own:
            state[key] = own[name].reshape(shape).clone()
        elif name.startswith("blocks."):
            # The modulation of a folded block.
            state[key].view(6, width)[[2, 5]] = 1.0
    return state


def _check(state: dict[str, Tensor]) -> dict[str, int]:
    """Check a released state dict and return its sizes."""
    if state and all(key.startswith("module.") for key in state):
        raise ValueError(first_mismatch("generator", {}, state))
    anchors = {"x_embedder.proj.weight": 4, "pos_embed": 3, "y_embedder.embedding_table.weight": 2}
    for name, dimensions in anchors.items():
        if name not in state or state[name].dim() != dimensions:
            msg = f"{name} is missing or misshapen: not a released generator"
            raise ValueError(msg)
    width, _, patch, _ = state["x_embedder.proj.weight"].shape
    tokens = state["pos_embed"].shape[1]
    labels = len(state["y_embedder.embedding_table.weight"])
    blocks = {key.split(".")[1] for key in state if key.startswith("blocks.")}
    shapes = released_shapes(width, len(blocks), patch, tokens, labels)
    if fault := first_mismatch("generator", shapes, state):
        raise ValueError(fault)
    modulations = [key for key in shapes if key.endswith(MODULATION + "weight")]
    learned = [key for key in modulations if state[key].any()]
    if learned:
        msg = (
            f"{learned[0]} is not zero: the file holds a conditioned network, but RID's generator "
            "is unconditional"
        )
        raise ValueError(msg)
    side = math.isqrt(tokens)
    table = state["pos_embed"]
    tolerance = max(1e-5, torch.finfo(table.dtype).eps)
    is_fixed_table = side**2 == tokens and torch.allclose(
        table.float(), sincos_positions(side, width), atol=tolerance
    )
    if not is_fixed_table:
        msg = "pos_embed is not the fixed sine-cosine table of a square image"
        raise ValueError(msg)
    return {"width": width, "depth": len(blocks), "patch": patch, "tokens": tokens}
