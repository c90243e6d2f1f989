"""White-box or black-box access of a protection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rid.lineage import NOTHING, Fingerprint, Lineage

Box = Literal["white", "black", "unknown", "-"]

DENOISERS = ("unet", "transformer")
"""Parts of a pipeline that identify a model; protections and attacks both work on them."""


@dataclass(frozen=True)
class Access:
    """Access of a protection to the attacked model.

    Attributes:
        box: ``white`` if the protection was made against the attacked model, ``black`` if not,
            ``unknown`` if a record is missing, ``-`` for an arm that uses no model.
        models: Names of the models that the arm was made against, as far as known; for a white box,
            only names of the attacked model.
        shared: Parts that the attacked model of a black box has in common with these models, such
            as ``vae``.
    """

    box: Box
    models: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def words(self, arm: str, attacked: str) -> str:
        """Explain the box in a sentence.

        The sentence is empty for an arm that uses no model.
        """
        if self.box == "white":
            return (
                f"{arm}: white box: the attacked model {attacked} is one that the protection was "
                f"made against ({', '.join(self.models)})"
            )
        if self.box == "black":
            shares = ""
            if self.shared:
                shares = f", but shares its {' and '.join(self.shared)} with one of them"
            return (
                f"{arm}: black box: the attacked model {attacked} is not one that the protection "
                f"was made against{shares}"
            )
        if self.box == "unknown":
            return (
                f"{arm}: unknown whether the attacked model {attacked} is one that the protection "
                "was made against"
            )
        return ""


def access(attacked: Fingerprint, against: Lineage) -> Access:
    """Compare the attacked model's weights with those of a protection's models.

    The same weights in another precision or file format have other hashes: under the same name they
    count as unknown.
    """
    if against == NOTHING:
        return Access("-")
    names = tuple(model["name"] for model in against.models)
    attacked_parts = _parts(attacked)
    model_parts = {number: _parts(model) for number, model in enumerate(against.models)}

    def shares(part: str, number: int) -> bool:
        """Check whether a model shares a part with the attacked."""
        return bool(attacked_parts[part] & model_parts[number].get(part, set()))

    # White box: a model with the same denoiser.
    core = [part for part in DENOISERS if part in attacked_parts] or list(attacked_parts)
    same = []
    for number, name in enumerate(names):
        if any(shares(part, number) for part in core):
            same.append(name)
    if same:
        return Access("white", tuple(same))

    # Unknown: hashes are missing, or the same name has other hashes.
    unhashed = not attacked_parts or not all(model_parts.values())
    if not against.complete or unhashed or attacked["name"] in names:
        return Access("unknown", names)

    # Black box.
    shared = []
    for part in attacked_parts:
        if any(shares(part, number) for number in model_parts):
            shared.append(part)
    return Access("black", names, tuple(shared))


def boxes(manifest: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Access]:
    """Read the access of each arm from a study's manifest.

    Studies of version 0.1 do not record it; see :func:`unrecorded_box`.
    """
    recorded = manifest.get("access")
    entries = recorded if isinstance(recorded, dict) else {}
    result = {}
    for arm in arms:
        entry = entries.get(arm)
        if isinstance(entry, dict) and entry.get("box") in ("white", "black", "unknown", "-"):
            models, shared = tuple(entry.get("models") or ()), tuple(entry.get("shared") or ())
            result[arm] = Access(entry["box"], models, shared)
        else:
            result[arm] = Access(unrecorded_box(arm))
    return result


def unrecorded_box(arm: str) -> Box:
    """Box of an arm whose study does not record it."""
    return "-" if arm in ("clean", "noise") else "unknown"


def _parts(model: Fingerprint) -> dict[str, set[str]]:
    """Group the hashes of a model's weight files by part.

    A part is a file's first folder.
    """
    parts: dict[str, set[str]] = {}
    for file, digest in model["sha256"].items():
        parts.setdefault(Path(file).parts[0], set()).add(digest)
    return parts
