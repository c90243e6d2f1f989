"""Which backbone shards of features were made with."""

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
    """Which weights, and which normalisation, a frozen backbone has."""
    digest = hashlib.sha256()
    for module in (network.normalize, network.backbone):
        for name, value in sorted([*module.named_parameters(), *module.named_buffers()]):
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def check_features(detector: Detector, patterns: Iterable[str]) -> None:
    """Refuse features of another backbone or view.

    Raises:
        ValueError: If there are any.
    """
    mine: str | None = None
    for pattern in patterns:
        for shard in find_shards(pattern):
            if not shard.endswith(ENDING):
                break
            origin = describe_features(shard)[2]
            if not isinstance(detector.network, LinearProbe):
                msg = f"{shard}: features are for frozen_linear only; {detector.kind} needs shards of pictures"
                raise ValueError(msg)
            mine = mine or backbone_digest(detector.network)
            known = [
                json.loads(json.dumps(asdict(view)))
                for view in (detector.view, detector.train_view)
            ]
            if origin["weights"] != mine or origin["view"] not in known:
                msg = f"{shard}: features of another backbone or view; write them again with python -m detectors features"
                raise ValueError(msg)
