"""Settings of embedders, without heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SIDE = 4096
"""Largest input side of an embedder, in pixels."""

SHORT_NAMES = {
    "clip": "openai/clip-vit-base-patch32",
    "siglip": "google/siglip-base-patch16-224",
    "dino": "facebook/dino-vits16",
    "dinov2": "facebook/dinov2-small",
}
"""Hub ids of ImageSentinel's models, by short name."""

COPIES = "checkpoints/photo-copies"
"""Network that finds copies of photographs."""


@dataclass(frozen=True)
class EmbedderConfig:
    """Network and preprocessing of an embedder.

    Attributes:
        name: ``clip``, ``siglip``, ``dino`` or ``dinov2``; folder or Hub id of such a model or of
            this project's networks; Lightning checkpoint of the latter; a name of the registry,
            such as ``sscd-disc-mixup`` or ``efficientnet-lite0``; ``timm:NAME``;
            ``torchvision:NAME``; ``https://HOST/v1#MODEL``, an OpenAI-compatible endpoint whose key
            is in ``EMBEDDINGS_API_KEY``; or a TorchScript file, as SSCD, DINO and ISC are released.
        weights: State dict for a timm or torchvision network (``.safetensors``, or ``.pth``
            without code); the published weights if None.
        size: Input side in pixels; the network's own if None, or 288 if unknown, as in the paper.
        antialias: Smooth images before downscaling; True if None. Active indexing's published
            features were computed without.
        unit: Normalize vectors to unit length; if None, as the network wants it: TorchScript files
            and this project's networks return such vectors if they should be.
        trust_torchscript: Allow running the code of a TorchScript file.

    Raises:
        ValueError: If the size is out of range.
    """

    name: str = COPIES
    weights: Path | None = None
    size: int | None = None
    antialias: bool | None = None
    unit: bool | None = None
    trust_torchscript: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= MAX_SIDE:
            msg = f"size is the side of an image in pixels, from 1 to {MAX_SIDE}; got {self.size}"
            raise ValueError(msg)

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], trust_torchscript: bool = False
    ) -> EmbedderConfig:
        """Restore settings from an embedder's record in an index or vector store.

        Args:
            record: The record.
            trust_torchscript: Allow running the code of a TorchScript file.

        Raises:
            ValueError: If the record does not name the embedder.
        """
        if not isinstance(record.get("name"), str):
            remedy = "name it, or compute them again with python -m indexing extract"
            msg = f"the embedder of these vectors is not recorded; {remedy}"
            raise ValueError(msg)
        weights = Path(record["weights"]) if record.get("weights") else None
        options = {key: record.get(key) for key in ("size", "antialias", "unit")}
        return cls(record["name"], weights, **options, trust_torchscript=trust_torchscript)
