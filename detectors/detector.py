"""A trained detector: images in, calibrated P(generated) out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel
from detectors.calibration import Calibration, Verdict
from detectors.networks import NETWORKS
from detectors.networks.patches import heat_map
from images.given import Images, given_images
from images.io import to_uint8
from images.transforms.views import View

PREDICTED_AT_ONCE = 16
"""Images of a forward pass of :meth:`Detector.predict`."""


@dataclass(frozen=True)
class Prediction:
    """A detector's answer to one image.

    Attributes:
        name: The image's file; ``image 1``, ``image 2``, ... where there was none.
        verdict: ``real``, ``generated`` or ``unsure``, by the thresholds of the calibration.
        probability: Calibrated P(generated), in [0, 1].
        logit: The network's own answer, not calibrated; above 0 for generated.
    """

    name: str
    verdict: Verdict
    probability: float
    logit: float


class Detector(SavedModel, tags=["generated-image-detection", "sentry"]):
    """A network, what it is to see of a picture, and what its answers mean; ``calibration.json`` is kept beside its weights.

    Args:
        network: One of :data:`detectors.networks.NETWORKS`.
        options: Its arguments.
        view: What is made of a picture before the network sees it, in use; see :class:`images.transforms.views.View`.
        train_view: The same in training.

    Raises:
        ValueError: If there is no such network, or an option is wrong.
    """

    PURPOSE = Purpose(
        "Detector of generated pictures",
        use="Telling generated pictures from photographs: `python -m detectors scan PHOTOS/ -o scores.csv --weights FOLDER`. Label 1 and "
        "scores near 1 mean generated.",
        limits="Pictures of generators, cameras and codecs unlike those it was trained and calibrated on are judged worse, and nobody "
        "should be accused on its word alone: `unsure` is an answer.",
    )

    def __init__(
        self,
        network: str,
        options: Mapping[str, Any] | None = None,
        view: View | None = None,
        train_view: View | None = None,
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
        levels = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
        views = torch.stack([self.view(picture, np.random.default_rng(0)) for picture in levels])
        logits = self.eval()(views.to(next(self.parameters()).device)).double().cpu().numpy()
        return torch.from_numpy(self.calibration.probability(logits)).float()

    @torch.no_grad()
    def logits_of(self, views: Sequence[Tensor]) -> list[float]:
        """Logits of views.

        Args:
            views: (3, H, W) in [0, 1], or (D,) features; those of unequal sizes are asked for one by one.
        """
        weight = next(self.parameters())
        one_by_one = [view.unsqueeze(0) for view in views]
        groups = [torch.cat(one_by_one)] if len({view.shape for view in views}) == 1 else one_by_one
        return (
            torch.cat([self(group.to(weight.device, weight.dtype)) for group in groups])
            .double()
            .tolist()
        )

    def predict(self, images: Images) -> list[Prediction]:
        """Judge images.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, tensors (3, H, W) or (B, 3, H, W) in [0, 1].

        Returns:
            An answer for each, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an array or a tensor has another shape or range.
        """
        self.eval()
        given = given_images(images)
        predictions = []
        for start in range(0, len(given), PREDICTED_AT_ONCE):
            batch = given[start : start + PREDICTED_AT_ONCE]
            views = [self.view(image.photo.rgb, np.random.default_rng(0)) for image in batch]
            for image, logit in zip(batch, self.logits_of(views), strict=True):
                probability = float(self.calibration.probability(np.array(logit)))
                predictions.append(
                    Prediction(
                        image.name, self.calibration.verdict(probability), probability, logit
                    )
                )
        return predictions

    def heat(self, views: Tensor) -> Tensor | None:
        """P(generated) of every place of (B, 3, S, S) views, (B, S, S); None for networks whose answer has no place."""
        return heat_map(self.network, views)

    def example_inputs(self) -> Tensor:
        """Two views, always the same."""
        return torch.rand(
            2, 3, self.view.size, self.view.size, generator=torch.Generator().manual_seed(0)
        )

    def to_config(self) -> dict[str, Any]:
        """Network, options and views, as JSON holds them."""
        options = {name: value for name, value in self.options.items() if name != "pretrained"}
        return {
            "network": self.kind,
            "options": options,
            "view": asdict(self.view),
            "train_view": asdict(self.train_view),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """From what :meth:`to_config` tells."""
        views = {name: View.from_settings(config[name]) for name in ("view", "train_view")}
        options = {
            name: value for name, value in config.get("options", {}).items() if name != "pretrained"
        }  # the file brings the weights
        return cls(**config | views | {"options": options})

    def save_extras(self, folder: Path) -> None:
        """The calibration."""
        self.calibration.save(folder)

    def read_extras(self, folder: Path) -> None:
        """The calibration."""
        self.calibration = Calibration.open(folder)


def load_detector(name: str) -> Detector:
    """A saved detector, to be trained further or tested; see :meth:`Detector.from_pretrained`."""
    return Detector.from_pretrained(name)
