"""What a protection knew of the attacked model: white box or black box, told by the hashes of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rid.lineage import NOTHING, Fingerprint, Lineage

Box = Literal["white", "black", "unknown", "-"]

DENOISERS = ("unet", "transformer")
"""Parts of a pipeline that decide whether it is the same model; protections and attacks both work on them."""


@dataclass(frozen=True)
class Access:
    """Whether the attacked model was among those that a protection was made against.

    Attributes:
        box: ``white`` if it was, ``black`` if not, ``unknown`` if a record is missing, ``-`` for an arm made against no model.
        models: Names of the models that the arm was made against, as far as known; of a white box, the same model's.
        shared: Parts that a black box's attacked model has in common with them, such as ``vae``.
    """

    box: Box
    models: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def words(self, arm: str, attacked: str) -> str:
        """What the box means, in a sentence; empty for an arm made against no model."""
        if self.box == "white":
            return f"{arm}: white box: the attacked model {attacked} is one that the protection was made against ({', '.join(self.models)})"
        if self.box == "black":
            shares = (
                f", but shares its {' and '.join(self.shared)} with one of them"
                if self.shared
                else ""
            )
            return f"{arm}: black box: the attacked model {attacked} is none that the protection was made against{shares}"
        if self.box == "unknown":
            return f"{arm}: unknown whether the attacked model {attacked} is one that the protection was made against"
        return ""


def access_of_arms(
    arms: Sequence[str], attacked: Fingerprint, generator: Lineage, surrogates: Lineage
) -> dict[str, Access]:
    """The access of each arm of a protection study.

    Args:
        arms: Names of :data:`eval.studies.arms.ARMS`.
        attacked: The attacker's model.
        generator: What the RID generator was made against.
        surrogates: What the ascent arm is made against.
    """
    lineages = {"rid": generator, "rid_tile": generator, "pgd": surrogates}
    return {arm: access(attacked, lineages.get(arm, NOTHING)) for arm in arms}


def access(attacked: Fingerprint, against: Lineage) -> Access:
    """Compare the attacked model's weight files with those of the models that a protection was made against.

    The same weights in another precision or file format have other hashes: under the same name they count as unknown.
    """
    if against == NOTHING:
        return Access("-")
    names = tuple(model["name"] for model in against.models)
    own = _parts(attacked)
    core = [part for part in DENOISERS if part in own] or list(own)
    same = tuple(
        model["name"]
        for model in against.models
        if any(own[part] & _parts(model).get(part, set()) for part in core)
    )
    if same:
        return Access("white", same)
    unhashed = not own or not all(_parts(model) for model in against.models)
    if not against.complete or unhashed or attacked["name"] in names:
        return Access("unknown", names)
    shared = (
        part
        for part in own
        if any(own[part] & _parts(model).get(part, set()) for model in against.models)
    )
    return Access("black", names, tuple(shared))


def boxes(manifest: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Access]:
    """The access of each arm as a study's manifest records it; studies of version 0.1 do not."""
    recorded = manifest.get("access")
    found = {}
    for arm in arms:
        entry = recorded.get(arm) if isinstance(recorded, dict) else None
        known = isinstance(entry, dict) and entry.get("box") in ("white", "black", "unknown", "-")
        if isinstance(entry, dict) and known:
            found[arm] = Access(
                entry["box"], tuple(entry.get("models") or ()), tuple(entry.get("shared") or ())
            )
        else:
            found[arm] = Access(unrecorded_box(arm))
    return found


def unrecorded_box(arm: str) -> Box:
    """Box of an arm whose study has no record of it."""
    return "-" if arm in ("clean", "noise") else "unknown"


def _parts(model: Fingerprint) -> dict[str, set[str]]:
    """Hashes of a model's weight files by part, which is their first folder."""
    parts: dict[str, set[str]] = {}
    for file, digest in model["sha256"].items():
        parts.setdefault(Path(file).parts[0], set()).add(digest)
    return parts
