"""Former names of the studies' settings; see :mod:`engine.renaming`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.renaming import within
from rid.pairs.renamed import PGD_RENAMED

PROTECTION_RENAMED = within("pgd", PGD_RENAMED)

PROTECTION_IMPLIED: Mapping[str, object] = MappingProxyType({"pgd_edits": [], "budget": None})
"""Settings that earlier studies did not have."""

MATRIX_RENAMED = {"crosses": "grid", **PROTECTION_RENAMED}

RETRIEVAL_RENAMED = {"strangers": "distractor_queries"}
