"""Shortcut test on file headers, before a detector is trained or tested on shards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from datamodules.shards import StoredShard, find_shards

MAX_SHARDS = 16
"""Shards that are looked at, evenly spaced."""

MAX_RECORDS = 500
"""Records that are read of a shard."""


def shortcut_warning(sources: Sequence[str]) -> tuple[str, str]:
    """Look for headers that tell real images from generated ones.

    Only headers in the records of local tar files are read, of a part of the shards.

    Args:
        sources: Patterns of shards of both classes.

    Returns:
        A warning with what was found, empty if nothing was; and a note why the test was not made,
        empty if it was.

    Raises:
        FileNotFoundError: If shards are missing.
    """
    from datamodules.fake2m.shortcuts import shortcut_gate

    try:
        gate = shortcut_gate(header_records(sources))
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, OSError) as error:
        reason = f"no {error} in the records" if isinstance(error, KeyError) else str(error)
        return "", f"file headers were not tested for shortcuts: {reason}"
    if gate.passed:
        return "", ""
    return f"{gate.verdict()}; python -m datamodules inspect shows them", ""


def header_records(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Read records of shards: the first ones of shards that are evenly spaced in each source.

    Raises:
        FileNotFoundError: If shards are missing.
        ValueError: If a record is damaged or of another program.
    """
    from datamodules.fake2m.facts import read_facts

    records = []
    read: set[Path] = set()
    most = max(1, MAX_SHARDS // max(1, len(sources)))
    for source in sources:
        local = [shard.local for shard in map(StoredShard, find_shards(source))]
        tars = [
            one for one in local if one is not None and one.suffix == ".tar" and one not in read
        ]
        read |= set(tars)
        for shard in tars[:: -(-len(tars) // most) or 1]:
            records += [record for _, record in islice(read_facts(shard), MAX_RECORDS)]
    return records
