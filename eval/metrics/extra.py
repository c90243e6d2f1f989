"""The metrics of the catalogue that a study computes on request: they are slow, or need weights that are downloaded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import (
    learned_perceptual_image_patch_similarity,
    multiscale_structural_similarity_index_measure,
)
from torchmetrics.image import FrechetInceptionDistance, KernelInceptionDistance

from eval.metrics.denoising import denoising_error
from eval.metrics.face_quality import PASSES, ser_fiq
from eval.metrics.identity import FaceBackend
from models.clip import CLIP, ClipMetrics
from models.faces.face_net import FaceNet
from rid.ensemble import DiffusionEnsemble

PER_PERSON = ("ser_fiq", "clip_iqa", "clip_score", "ms_ssim", "lpips", "denoising_error")
OF_SETS = ("fid", "kid")
ENOUGH = 2048
"""Fewer pictures than Inception has features leave FID's covariance without full rank."""

CHUNK = 32
"""Pictures Inception sees at a time."""


@dataclass(frozen=True)
class MetricWeights:
    """Where downloaded weights are.

    Attributes:
        clip: Folder or Hub id of a CLIP, for clip_iqa and clip_score.
        inception: File of FID's Inception v3; downloaded from its authors if None.
    """

    clip: str = CLIP
    inception: str | None = None


class ExtraMetrics:
    """Some of ``PER_PERSON`` and ``OF_SETS``, by name.

    Args:
        names: Which.
        weights: Where their weights are.
        faces: The study's face backend, for ser_fiq.
        attacked: Pipeline folder or Hub id that the attacker starts from, for denoising_error.

    Raises:
        ValueError: If a name is unknown, or ser_fiq is asked of a backend without dropout.
    """

    def __init__(
        self, names: Sequence[str], weights: MetricWeights, faces: FaceBackend, attacked: str
    ) -> None:
        if unknown := [name for name in names if name not in PER_PERSON + OF_SETS]:
            msg = f"unknown metric {unknown[0]}; extra_metrics may name {', '.join(PER_PERSON + OF_SETS)}"
            raise ValueError(msg)
        if "ser_fiq" in names and not isinstance(faces, FaceNet):
            msg = "ser_fiq needs a face network with dropout, such as checkpoints/tiny/faces; this face backend has none"
            raise ValueError(msg)
        self.names, self.weights, self.faces, self.attacked = tuple(names), weights, faces, attacked

    @cached_property
    def clip(self) -> ClipMetrics:
        """Loaded on first use."""
        return ClipMetrics(self.weights.clip)

    @cached_property
    def ensemble(self) -> DiffusionEnsemble:
        """The attacked model, loaded on first use."""
        return DiffusionEnsemble([self.attacked])

    def of_person(
        self, generated: Tensor, prompts: Sequence[str], protected: Tensor, clean: Tensor
    ) -> dict[str, float]:
        """Means over one person's pictures.

        Args:
            generated: What the attacker drew, (n, 3, H, W) in [0, 1].
            prompts: What each was drawn from, n of them, without made-up words.
            protected: (m, 3, H, W).
            clean: The same pictures unprotected.
        """
        found: dict[str, float] = {}
        if "clip_iqa" in self.names:
            found["clip_iqa"] = float(self.clip.quality(generated).mean())
        if "clip_score" in self.names:
            parts = {
                text: generated[[index for index, prompt in enumerate(prompts) if prompt == text]]
                for text in dict.fromkeys(prompts)
            }
            found["clip_score"] = float(
                torch.cat([self.clip.score(part, text) for text, part in parts.items()]).mean()
            )
        if "ser_fiq" in self.names and isinstance(self.faces, FaceNet):
            seen = self.faces(generated).detected
            scores = (
                ser_fiq(self.faces.with_dropout(generated[seen], PASSES))
                if seen.any()
                else torch.tensor([float("nan")])
            )
            found["ser_fiq"] = float(scores.mean())
        if "ms_ssim" in self.names:
            large = min(clean.shape[-2:]) > 160
            found["ms_ssim"] = (
                float(
                    multiscale_structural_similarity_index_measure(protected, clean, data_range=1.0)
                )
                if large
                else float("nan")
            )
        if "lpips" in self.names:
            found["lpips"] = self._lpips(protected, clean)
        if "denoising_error" in self.names:
            found["denoising_error"] = denoising_error(
                self.ensemble.to(protected.device), protected
            )
        return found

    def of_sets(self, generated: Tensor, clean: Tensor) -> dict[str, float]:
        """FID and KID of two sets of pictures, (n, 3, H, W) and (m, 3, H, W) in [0, 1].

        Raises:
            FileNotFoundError: If Inception's weights cannot be had.
        """
        if min(len(generated), len(clean)) < ENOUGH and "fid" in self.names:
            warnings.warn(
                f"FID over {min(len(generated), len(clean))} pictures is biased; below {ENOUGH}, compare KID",
                stacklevel=2,
            )
        made: list[tuple[str, FrechetInceptionDistance | KernelInceptionDistance]] = []
        common: dict[str, Any] = {
            "normalize": True,
            "feature_extractor_weights_path": self.weights.inception,
            "sync_on_compute": False,  # one process has all the pictures
        }
        try:
            if "fid" in self.names:
                made.append(("fid", FrechetInceptionDistance(**common)))
            if "kid" in self.names:
                made.append(
                    (
                        "kid",
                        KernelInceptionDistance(
                            subset_size=min(100, len(generated), len(clean)), **common
                        ),
                    )
                )
        except OSError as error:
            msg = f"FID and KID need Inception's weights, which cannot be had ({error}); give the file: --metric_weights.inception FILE"
            raise FileNotFoundError(msg) from error
        found = {}
        for name, metric in made:
            for images, real in ((clean, True), (generated, False)):
                for part in images.split(CHUNK):
                    metric.update(part, real=real)
            with torch.random.fork_rng(devices=[]):  # KID draws its subsets
                torch.manual_seed(0)
                value = metric.compute()
            found[name] = float(value[0] if isinstance(value, tuple) else value)
        return found

    def _lpips(self, protected: Tensor, clean: Tensor) -> float:
        least = 64  # AlexNet halves a picture five times
        if min(clean.shape[-2:]) < least:
            protected, clean = (
                F.interpolate(part, (least, least), mode="bilinear", antialias=True)
                for part in (protected, clean)
            )
        try:
            return float(
                learned_perceptual_image_patch_similarity(
                    protected, clean, net_type="alex", normalize=True
                )
            )
        except OSError as error:
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            msg = f"lpips needs AlexNet's weights, which cannot be had ({error}); put alexnet-owt-7be5be79.pth into {folder}"
            raise FileNotFoundError(msg) from error
