"""Check that feature shards belong to a detector's backbone and views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from datamodules.features import ENDING, describe_features
from datamodules.shards import find_shards
from detectors.detector import Detector
from detectors.networks.backbone import LinearProbe


def backbone_digest(network: LinearProbe) -> str:
    """Hash the weights and the normalization of a frozen backbone."""
    digest = hashlib.sha256()
    for module in (network.normalize, network.backbone):
        for name, value in sorted([*module.named_parameters(), *module.named_buffers()]):
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def check_features(detector: Detector, patterns: Iterable[str]) -> None:
    """Refuse feature shards of another backbone or view.

    Raises:
        ValueError: If there are any.
    """
    weights: str | None = None
    views = []
    for view in (detector.view, detector.train_view):
        # as in the shards: tuples become lists
        views.append(json.loads(json.dumps(asdict(view))))
    for pattern in patterns:
        for shard in find_shards(pattern):
            if not shard.endswith(ENDING):
                break
            origin = describe_features(shard)[2]
            if not isinstance(detector.network, LinearProbe):
                msg = (
                    f"{shard}: features are for frozen_linear only; "
                    f"{detector.kind} needs shards of images"
                )
                raise ValueError(msg)
            weights = weights or backbone_digest(detector.network)
            if origin["weights"] != weights or origin["view"] not in views:
                msg = (
                    f"{shard}: features of another backbone or view; "
                    "write them again with python -m detectors features"
                )
                raise ValueError(msg)
