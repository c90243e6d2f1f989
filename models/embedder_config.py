"""Settings of an embedder; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST_SIDE = 4096
"""Pixels of the largest view; no embedder was made for more."""

SHORT_NAMES = {
    "clip": "openai/clip-vit-base-patch32",
    "siglip": "google/siglip-base-patch16-224",
    "dino": "facebook/dino-vits16",
    "dinov2": "facebook/dinov2-small",
}
"""Short names of the models of ImageSentinel's paper."""


@dataclass(frozen=True)
class EmbedderConfig:
    """Which network, and what it sees of an image.

    Attributes:
        name: ``clip``, ``siglip``, ``dino`` or ``dinov2``; a folder or Hub id of one of their kinds or of this project's own networks;
            a Lightning checkpoint of the latter; ``timm:NAME``; ``torchvision:NAME``; or a TorchScript file (SSCD, DINO and ISC are
            released as such).
        weights: State dict for a timm or torchvision name (``.safetensors``, or ``.pth`` without code); its published ones if None.
        size: Side images are resized to, in pixels; the network's own if None, which is 288 where none is known, as in the paper.
        antialias: Smooth images when making them smaller; True if None. Active indexing's features were made without.
        unit: Bring vectors to unit length; if None, as CLIP and its like are used, and not where networks do it themselves.
        trust_torchscript: A TorchScript file is a program; run it all the same.

    Raises:
        ValueError: If the size is out of range.
    """

    name: str = "checkpoints/tiny/copies"
    weights: Path | None = None
    size: int | None = None
    antialias: bool | None = None
    unit: bool | None = None
    trust_torchscript: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= LARGEST_SIDE:
            msg = f"size is the side of an image in pixels, from 1 to {LARGEST_SIDE}; got {self.size}"
            raise ValueError(msg)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], trust_torchscript: bool = False) -> EmbedderConfig:
        """The settings an embedder's record tells, such as that of an index or of vectors on disk.

        Raises:
            ValueError: If they do not say which embedder it was.
        """
        if not isinstance(record.get("name"), str):
            msg = "it is not recorded which embedder these vectors are of; make them again with python -m indexing extract"
            raise ValueError(msg)
        weights = Path(record["weights"]) if record.get("weights") else None
        kept = {key: record.get(key) for key in ("size", "antialias", "unit")}
        return cls(record["name"], weights, **kept, trust_torchscript=trust_torchscript)
