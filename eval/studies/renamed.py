"""Former names of the studies' settings; see :mod:`engine.renaming`."""

from __future__ import annotations

PROTECTION_MOVED = {
    "generator": "--arms.NAME.weights of an arm of the class Generator",
    "surrogates": "--arms.NAME.objective.models of an arm of the class Ascent",
    "pgd": "--arms.NAME.pgd of an arm of the class Ascent",
    "pgd_edits": "--arms.NAME.edits of an arm of the class Ascent",
    "budget": "--arms.NAME.budget of every arm",
}
"""Present places of settings that all arms had in common."""

MATRIX_RENAMED = {"crosses": "grid"}

RETRIEVAL_RENAMED = {"strangers": "distractor_queries"}
