"""A few hundred damaged files; ``make hostile`` runs ten thousand."""

import os
import resource

from tests.hostile.harness import run
from tests.hostile.readers import all_readers

CASES = int(os.environ.get("HOSTILE_CASES", "400"))
SEED = int(os.environ.get("HOSTILE_SEED", "0"))

MEMORY = 2 << 20
"""Kilobytes by which reading damaged files may raise the most that this process ever held."""


def test_damaged_files_are_read_right_or_refused_by_name(tmp_path):
    readers = all_readers(tmp_path / "sound")
    place = tmp_path / "case"
    place.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, faults = run(readers, place, CASES, SEED)
    for name, found in counts.items():
        print(f"{name:28} {dict(found)}")
    assert faults == []
    assert sum(sum(found.values()) for found in counts.values()) == CASES
    assert sum(found["refused"] for found in counts.values()) > CASES / 4, (
        "the damage must be damage"
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
