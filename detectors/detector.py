"""Trained detector: images in, calibrated P(generated) out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel
from detectors.calibration import Calibration, Verdict
from detectors.calibration_record import Output
from detectors.community_forensics import read_community_forensics
from detectors.domain import FILE as DOMAIN
from detectors.domain import Domain, Floats
from detectors.domain_features import recorded_features, view_statistics
from detectors.networks import NETWORKS
from detectors.networks.patches import heat_map
from images.given import Images, given_images
from images.io import to_uint8
from images.transforms.views import View

PREDICT_BATCH_SIZE = 16
"""Images per forward pass of :meth:`Detector.predict`."""


@dataclass(frozen=True)
class Prediction:
    """Prediction for one image.

    Attributes:
        name: File of the image; ``image 1``, ``image 2``, ... without one.
        verdict: ``real``, ``generated`` or ``unsure``, by the operating point of the calibration;
            always ``unsure`` without one.
        probability: Calibrated P(generated), in [0, 1].
        logit: Output of the network, not calibrated; above 0 for generated.
        reason: Reason of ``unsure``; empty for other verdicts.
    """

    name: str
    verdict: Verdict
    probability: float
    logit: float
    reason: str = ""


def batched(views: Sequence[Tensor]) -> list[Tensor]:
    """Stack views of equal sizes to one batch, others to batches of one."""
    if len({view.shape for view in views}) == 1:
        return [torch.stack(list(views))]
    return [view.unsqueeze(0) for view in views]


class Detector(SavedModel, tags=["generated-image-detection", "sentry"]):
    """Network with its views and calibration.

    ``calibration.json`` is stored beside its weights.

    Args:
        network: Name in :data:`detectors.networks.NETWORKS`.
        options: Arguments of the network.
        view: View to take of an image outside training; see
            :class:`images.transforms.views.View`.
        train_view: View to take of an image in training.

    Raises:
        ValueError: If there is no such network, or an option is wrong.
    """

    MIGRATIONS = {0: read_community_forensics}  # noqa: RUF012 - as the base declares it
    PURPOSE = Purpose(
        "Detector of generated images",
        use="Distinguishes generated images from photographs: "
        "`python -m detectors scan PHOTOS/ -o scores.csv --weights FOLDER`. "
        "Label 1 and scores near 1 mean generated.",
        limits="Less accurate on images of generators, cameras and codecs unlike those of its "
        "training and calibration. Accuse nobody on its verdict alone; `unsure` is an answer.",
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
        self.kind = network
        self.options = dict(options or {})
        self.view = view or View()
        self.train_view = train_view or View(random=True)
        self.calibration = Calibration()
        self.domain: Domain | None = None
        try:
            self.network = NETWORKS[network](**self.options)
        except TypeError as error:
            msg = f"network {network} does not take these options: {error}"
            raise ValueError(msg) from error

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, S, S) views in [0, 1].

        A logit above 0 means generated; it is not calibrated.
        """
        return self.network(images)

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """Compute the calibrated P(generated) of images.

        Args:
            images: (B, 3, H, W) in [0, 1], of any size, on the detector's device.

        Returns:
            (B,) in [0, 1].
        """
        images_u8 = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
        views = torch.stack([self.view(image, np.random.default_rng(0)) for image in images_u8])
        logits = self.eval()(views.to(next(self.parameters()).device)).double().cpu().numpy()
        return torch.from_numpy(self.calibration.probability(logits)).float()

    @torch.no_grad()
    def logits_of(self, views: Sequence[Tensor]) -> list[float]:
        """Compute the logits of views.

        Args:
            views: (3, H, W) in [0, 1], or (D,) features. Views of different sizes are processed
                one by one.
        """
        weight = next(self.parameters())
        logits = [self(batch.to(weight.device, weight.dtype)) for batch in batched(views)]
        return torch.cat(logits).double().tolist()

    @torch.no_grad()
    def logits_and_features_of(self, views: Sequence[Tensor]) -> tuple[list[float], Floats]:
        """Compute the logits of N views, and their features for :class:`detectors.domain.Domain`.

        Args:
            views: See :meth:`logits_of`.

        Returns:
            Logits, and (N, D) features: those of the network, then statistics of the views.
        """
        with recorded_features(self.network) as recorded:
            logits = self.logits_of(views)
        parts = [torch.cat(recorded).float().cpu()] if recorded else []
        if views[0].ndim == 3:
            statistics = [view_statistics(batch.float()) for batch in batched(views)]
            parts.append(torch.cat(statistics).cpu())
        return logits, torch.cat(parts, dim=1).double().numpy()

    def outputs_of(self, views: Sequence[Tensor]) -> list[Output]:
        """Compute logits, and distances from the classes of the calibration.

        Precomputed features have no distances for a detector that was calibrated on images, whose
        views its guard describes, too.

        Args:
            views: See :meth:`logits_of`.
        """
        if self.domain is None:
            return [Output(logit) for logit in self.logits_of(views)]
        logits, features = self.logits_and_features_of(views)
        if features.shape[1] < len(self.domain.scale):
            return [Output(logit) for logit in logits]
        distances = self.domain.distances(features).tolist()
        return [Output(*one) for one in zip(logits, map(tuple, distances), strict=True)]

    def predict(self, images: Images) -> list[Prediction]:
        """Predict verdicts on images.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, tensors (3, H, W)
                or (B, 3, H, W) in [0, 1].

        Returns:
            A prediction for each image, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an array or a tensor has another shape or range.
        """
        self.eval()
        given = given_images(images)
        predictions = []
        for start in range(0, len(given), PREDICT_BATCH_SIZE):
            batch = given[start : start + PREDICT_BATCH_SIZE]
            views = [self.view(image.photo.rgb, np.random.default_rng(0)) for image in batch]
            for image, output in zip(batch, self.outputs_of(views), strict=True):
                probability = float(self.calibration.probability(np.array(output.logit)))
                verdict, reason = self.calibration.judge(output)
                predictions.append(
                    Prediction(image.name, verdict, probability, output.logit, reason)
                )
        return predictions

    def heat_map(self, views: Tensor) -> Tensor | None:
        """Compute P(generated) of every pixel.

        Args:
            views: (B, 3, S, S) in [0, 1].

        Returns:
            (B, S, S) in [0, 1]; None for networks without patch logits.
        """
        return heat_map(self.network, views)

    def example_inputs(self) -> Tensor:
        """Return two random views, equal in every call."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(2, 3, self.view.size, self.view.size, generator=generator)

    def to_config(self) -> dict[str, Any]:
        """Return network, options and views as JSON values."""
        return {
            "network": self.kind,
            "options": _without_pretrained(self.options),
            "view": asdict(self.view),
            "train_view": asdict(self.train_view),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a detector from the result of :meth:`to_config`."""
        views = {name: View.from_settings(config[name]) for name in ("view", "train_view")}
        options = _without_pretrained(config.get("options", {}))
        return cls(**config | views | {"options": options})

    def save_extras(self, folder: Path) -> None:
        """Write the calibration, and the domain if there is one."""
        calibration = self.calibration
        if self.domain is None or calibration.domain is None:
            (folder / DOMAIN).unlink(missing_ok=True)
            calibration = replace(calibration, domain=None)
        else:
            record = replace(calibration.domain, sha256=self.domain.save(folder))
            calibration = replace(calibration, domain=record)
        calibration.save(folder)

    def read_extras(self, folder: Path) -> None:
        """Read the calibration, and the domain that it names."""
        self.calibration = Calibration.open(folder)
        if self.calibration.domain is not None:
            self.domain = Domain.open(folder, self.calibration.domain.sha256)


def _without_pretrained(options: Mapping[str, Any]) -> dict[str, Any]:
    """Remove ``pretrained``: a saved detector brings its weights."""
    return {name: value for name, value in options.items() if name != "pretrained"}


def load_detector(name: str) -> Detector:
    """Load a saved detector; see :meth:`Detector.from_pretrained`."""
    return Detector.from_pretrained(name)
