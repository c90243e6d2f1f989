"""Three kills; ``make killed`` makes fifty, over all jobs and fit.

``KILLED_CASES`` is how many, ``KILLED_SEED`` draws others, ``KILLED_ONLY`` is a pattern of the
cases to take.
"""

import os
import re
import time

import pytest

from tests.killed.cases import CASES
from tests.killed.harness import Range, Server, Tally, aims, compare
from tests.killed.world import World

KILLS = int(os.environ.get("KILLED_CASES", "3"))
SEED = int(os.environ.get("KILLED_SEED", "0"))
ONLY = os.environ.get("KILLED_ONLY", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    for name in ("unbroken", "broken", "runs", "world"):
        (folder / name).mkdir()
    servers = [
        Server(folder / name, SEED + number) for number, name in enumerate(("unbroken", "broken"))
    ]
    assert [server.threads() for server in servers] == [1, 1], (
        "a process with threads must not be forked"
    )
    yield Range(World(folder / "world"), folder / "runs", *servers)
    for server in servers:
        server.close()


def test_killed_runs_end_as_unbroken_ones(place):
    cases = [case for case in CASES if re.search(ONLY, case.name)][:KILLS]
    tallies = {case.name: Tally() for case in cases}
    began = time.monotonic()
    for case, mine in zip(cases, aims(KILLS, len(cases), SEED), strict=True):
        whole = place.whole(case)
        rounds = (
            [mine[:2], *([aim] for aim in mine[2:])] if len(mine) > 2 else [[aim] for aim in mine]
        )
        for aimed in rounds:
            place.kill(case, whole, aimed, tallies[case.name])
        tally = tallies[case.name]
        result = "; ".join(tally.faults) or "the same"
        row = (
            f"{case.name:24} {len(mine):3} kills {tally.struck:3} struck {tally.missed:3} too late "
            f" {whole.seconds:5.1f} s"
        )
        print(f"{row} {whole.operations:4} operations  {result}", flush=True)
    struck = sum(tally.struck for tally in tallies.values())
    print(f"seed {SEED}: {struck} of {KILLS} kills struck; {time.monotonic() - began:.0f} s")
    assert [fault for tally in tallies.values() for fault in tally.faults] == []
    assert struck > 0.9 * KILLS, "kills must meet work"


def test_files_that_differ_are_named():
    whole = {"a": b"1", "b": b"2", "c": b"3"}
    broken = {"a": b"1", "b": b"0", ".9.partial": b""}
    assert compare(whole, broken) == ["c is not there", ".9.partial is left behind", "b differs"]
    assert compare(whole, dict(whole)) == []
