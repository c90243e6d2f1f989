"""Reading the letters in pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from checkpoints.folders import model_folder, read_config, read_weights
from checkpoints.strict import first_fault
from sentinels.keys import fold
from sentinels.network import ImageTextNet

Reader = Callable[[Tensor], list[str]]
"""From (B, 3, H, W) pictures in [0, 1] to what is written in each."""


def reads_as(text: str, key: str) -> bool:
    """Is a key in what was read? Case, blanks and punctuation do not count: a text encoder folds them, too."""
    return fold(key) in fold(text)


def load_network(name: str) -> ImageTextNet:
    """A saved :class:`ImageTextNet`, strictly, in float32 and evaluation mode.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the files are damaged or hold anything else.
    """
    folder: Path = model_folder(name, "config.json", "model.safetensors")
    config = read_config(folder)
    try:
        with torch.device("meta"):
            network = ImageTextNet(**config)
    except (TypeError, ValueError) as error:
        msg = f"{folder / 'config.json'}: not the settings of an image-text embedder that reads ({error}); name another folder"
        raise ValueError(msg) from error
    weights = {key: value.float() if value.is_floating_point() else value for key, value in read_weights(folder).items()}
    if fault := first_fault({key: tuple(value.shape) for key, value in network.state_dict().items()}, weights):
        msg = f"{folder / 'model.safetensors'}: {fault}"
        raise ValueError(msg)
    network.load_state_dict(weights, assign=True)
    return network.eval()


def load_reader(name: str) -> Reader:
    """The reader of a saved :class:`ImageTextNet`."""
    return load_network(name).read
