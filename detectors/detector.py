"""Trained detector: images in, calibrated P(generated) out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel
from detectors.calibration import Calibration, Verdict
from detectors.calibration_record import Output
from detectors.community_forensics import read_community_forensics
from detectors.crop_rule import CropRule
from detectors.domain import FILE as DOMAIN
from detectors.domain import Domain, Floats
from detectors.forward import pooled_logits
from detectors.networks import NETWORKS
from images.given import Images, given_images
from images.io import to_uint8
from images.transforms.views import View, channels_first

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

    def view_of(self, rgb: NDArray[np.uint8], anywhere: Generator | None = None) -> Tensor:
        """Take the view of an image, or the crops that the calibration is of.

        Args:
            rgb: (H, W, 3) uint8.
            anywhere: Generator to crop at random positions with; None for the view's own.

        Returns:
            (3, S, S), or (K, 3, S, S) of crops; uint8.
        """
        view = self.view if anywhere is None else replace(self.view, random=True)
        crops = self.calibration.crops.of(view)
        size = (rgb.shape[0], rgb.shape[1])
        rng = anywhere or np.random.default_rng(0)
        return channels_first(crops.read(size, lambda rows: rgb[:rows], rng))

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """Compute the calibrated P(generated) of images.

        Args:
            images: (B, 3, H, W) in [0, 1], of any size, on the detector's device.

        Returns:
            (B,) in [0, 1].
        """
        self.eval()
        images_u8 = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
        logits = self.logits_of([self.view_of(image) for image in images_u8])
        return torch.from_numpy(self.calibration.probability(np.array(logits))).float()

    def logits_of(self, views: Sequence[Tensor]) -> list[float]:
        """Compute the logits of images.

        Args:
            views: Results of :meth:`view_of`, or (D,) features. Views of different sizes are
                processed one by one.
        """
        return pooled_logits(self, self.calibration.crops, views)[0]

    def logits_and_features_of(self, views: Sequence[Tensor]) -> tuple[list[float], Floats]:
        """Compute the logits of N images, and their features for :class:`detectors.domain.Domain`.

        Args:
            views: See :meth:`logits_of`.

        Returns:
            Logits, and (N, D) features: those of the network, then statistics of the views; of
            several crops the means.
        """
        return pooled_logits(self, self.calibration.crops, views, self.network)

    def outputs_of(
        self, views: Sequence[Tensor], factors: Sequence[float] | None = None
    ) -> list[Output]:
        """Compute logits, and distances from the classes of the calibration.

        Precomputed features have no distances for a detector that was calibrated on images, whose
        views its guard describes, too.

        Args:
            views: See :meth:`logits_of`.
            factors: Factor by which the view scaled each image; see
                :meth:`images.transforms.views.View.factor`. None if unknown.
        """
        if self.domain is None:
            return [Output(logit) for logit in self.logits_of(views)]
        logits, features = self.logits_and_features_of(views)
        if features.shape[1] < len(self.domain.scale):
            return [Output(logit) for logit in logits]
        distances = self.domain.distances(features, factors).tolist()
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
            arrays = [image.photo.on_white().rgb for image in batch]
            views = [self.view_of(rgb) for rgb in arrays]
            factors = [self.view.factor(rgb.shape[:2]) for rgb in arrays]
            for image, output in zip(batch, self.outputs_of(views, factors), strict=True):
                probability = float(self.calibration.probability(np.array(output.logit)))
                verdict, reason = self.calibration.judge(output)
                predictions.append(
                    Prediction(image.name, verdict, probability, output.logit, reason)
                )
        return predictions

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


def load_detector(name: str, rule: CropRule | None = None) -> Detector:
    """Load a saved detector; see :meth:`Detector.from_pretrained`.

    Args:
        name: Folder, Hub id or .ckpt file.
        rule: Crops to judge; None for the calibration's.

    Raises:
        ValueError: If the detector was calibrated on other crops.
    """
    detector = Detector.from_pretrained(name)
    detector.calibration = detector.calibration.with_crops(rule, name)
    return detector
