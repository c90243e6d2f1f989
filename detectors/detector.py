"""A trained detector as a user meets it: pictures in, calibrated P(generated) out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from checkpoints.folders import model_folder, read_config, read_weights
from checkpoints.manifest import write_text
from checkpoints.strict import first_fault
from datamodules.images import to_levels
from datamodules.views import View
from detectors.calibration import Calibration
from detectors.networks import NETWORKS
from detectors.networks.patches import heat_map

FORMAT = 1


class Detector(nn.Module):
    """A network, what it is to see of a picture, and what its answers mean.

    Args:
        network: One of :data:`detectors.networks.NETWORKS`.
        options: Its arguments.
        view: What is made of a picture before the network sees it, in use; see :class:`datamodules.views.View`.
        train_view: The same in training.

    Raises:
        ValueError: If there is no such network, or an option is wrong.
    """

    def __init__(
        self, network: str, options: Mapping[str, Any] | None = None, view: View | None = None, train_view: View | None = None
    ) -> None:
        super().__init__()
        if network not in NETWORKS:
            msg = f"no network '{network}'; choose one of {', '.join(NETWORKS)}"
            raise ValueError(msg)
        self.kind, self.options = network, dict(options or {})
        self.view, self.train_view = view or View(), train_view or View(random=True)
        self.calibration = Calibration()
        try:
            self.network = NETWORKS[network](**self.options)
        except TypeError as error:
            msg = f"network {network} does not take these options: {error}"
            raise ValueError(msg) from error

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,), of (B, 3, S, S) views in [0, 1]; above 0 for generated, not calibrated."""
        return self.network(images)

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """Calibrated P(generated), (B,), of (B, 3, H, W) pictures in [0, 1] of any size, on the detector's device."""
        levels = to_levels(images).permute(0, 2, 3, 1).cpu().numpy()
        views = torch.stack([self.view(picture, np.random.default_rng(0)) for picture in levels])
        logits = self.eval()(views.to(next(self.parameters()).device)).double().cpu().numpy()
        return torch.from_numpy(self.calibration.probability(logits)).float()

    def heat(self, views: Tensor) -> Tensor | None:
        """P(generated) of every place of (B, 3, S, S) views, (B, S, S); None for networks whose answer has no place."""
        return heat_map(self.network, views)

    def save(self, folder: Path) -> None:
        """Write ``config.json``, ``model.safetensors`` and ``calibration.json``, which :meth:`from_pretrained` opens.

        Raises:
            FloatingPointError: If a weight is not finite; nothing is written.
        """
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        if not all(value.isfinite().all() for value in weights.values() if value.is_floating_point()):
            msg = f"the detector has weights that are not finite and was not saved to {folder}: lower the learning rate"
            raise FloatingPointError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        options = {name: value for name, value in self.options.items() if name != "pretrained"}  # the file brings the weights
        config = {"format": FORMAT, "network": self.kind, "options": options}
        write_text(
            folder / "config.json", json.dumps(config | {"view": asdict(self.view), "train_view": asdict(self.train_view)}, indent=2) + "\n"
        )
        partial = folder / "model.safetensors.partial"
        save_file(weights, partial)
        partial.replace(folder / "model.safetensors")
        self.calibration.save(folder)

    @classmethod
    def from_pretrained(cls, name: str) -> Self:
        """Open a detector folder or Hub id, strictly, in evaluation mode.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If the files are damaged or hold anything but a detector.
        """
        folder = model_folder(name, "config.json", "model.safetensors")
        config = read_config(folder)
        if config.pop("format", None) != FORMAT:
            msg = f"{folder / 'config.json'}: not a detector of this project (format {FORMAT}); export it again"
            raise ValueError(msg)
        try:
            view, train_view = View.of(config.pop("view")), View.of(config.pop("train_view"))
            detector = cls(**config, view=view, train_view=train_view)
        except (TypeError, KeyError) as error:
            msg = f"{folder / 'config.json'}: not a detector's settings ({error}); export it again"
            raise ValueError(msg) from error
        weights = read_weights(folder)
        if fault := first_fault({key: tuple(value.shape) for key, value in detector.state_dict().items()}, weights):
            msg = f"{folder / 'model.safetensors'}: {fault}"
            raise ValueError(msg)
        detector.load_state_dict(weights)
        detector.calibration = Calibration.open(folder)
        return detector.eval()


def load_detector(name: str) -> Detector:
    """A saved detector, to be trained further or tested; see :meth:`Detector.from_pretrained`."""
    return Detector.from_pretrained(name)
