"""Questions of a scoring job to all detectors of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datamodules.shards import StoredShard
from detectors.ensemble import Ensemble
from detectors.scoring import Question, detector_settings, shard_by_shard
from images.transforms import Edit


def ensemble_questions(
    ensemble: Ensemble, shards: Sequence[StoredShard], edit: Edit | None = None
) -> tuple[list[list[Question]], list[dict[str, Any]]]:
    """Build the questions of every detector, and the settings that its logits depend on.

    Args:
        ensemble: The detectors.
        shards: Shards of images or features.
        edit: Edit applied to every image before the view.
    """
    questions = []
    settings = []
    for number, member in enumerate(ensemble.members):
        detector = ensemble.detectors[member.name]
        prefix = f"{number}/" if len(ensemble.members) > 1 else ""
        questions.append(shard_by_shard(detector, shards, prefix, edit))
        settings.append(detector_settings(ensemble.location(member), detector))
    return questions, settings
