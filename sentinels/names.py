"""File names of sentinels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

NameKind = Literal["neutral", "prefixed"]


def sentinel_names(kind: NameKind, sources: Sequence[str]) -> dict[str, str]:
    """Name the sentinels of sources, by paths below the folder of sentinels.

    Args:
        kind: ``neutral``: a sentinel has the name of its source, which it replaces, so that names,
            numbers and lists of names are those of the collection. ``prefixed``: it stands beside
            its source and its name begins with ``sentinel_``, as in the published program.
        sources: Names of the sources, with forward slashes.

    Returns:
        Names by source.
    """
    if kind == "neutral":
        return {source: source for source in sources}
    stems = Counter(Path(source).stem for source in sources)
    names = {}
    for source in sources:
        path = PurePosixPath(source)
        unique = path.stem if stems[path.stem] == 1 else source.replace("/", "_").replace(".", "_")
        names[source] = str(path.with_name(f"sentinel_{unique}{path.suffix}"))
    return names
