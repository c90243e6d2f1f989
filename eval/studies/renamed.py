"""Former names of the studies' settings; see :mod:`engine.renaming`."""

from __future__ import annotations

from engine.renaming import within
from rid.pairs.config import PGD_RENAMED

PROTECTION_RENAMED = within("pgd", PGD_RENAMED)

MATRIX_RENAMED = {"crosses": "grid", **PROTECTION_RENAMED}

RETRIEVAL_RENAMED = {"strangers": "distractor_queries"}
