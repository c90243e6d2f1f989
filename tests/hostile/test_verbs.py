"""A hundred commands on damaged inputs; ``make hostile`` runs 600."""

import os

import pytest

from tests.commands import VERBS
from tests.hostile.commands import Warm, run
from tests.hostile.verbs import CASES, LEFT_OUT

COMMANDS = int(os.environ.get("HOSTILE_COMMANDS", "100"))
SEED = int(os.environ.get("HOSTILE_SEED", "0"))


def test_every_verb_has_cases_or_a_reason_for_none():
    assert {case.name for case in CASES} | set(LEFT_OUT) == set(VERBS)
    assert not {case.name for case in CASES} & set(LEFT_OUT)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    made = Warm(tmp_path_factory.mktemp("commands"))
    yield made
    made.close()


def test_commands_on_damaged_inputs_end_right_or_name_the_file(warm):
    counts, faults = run(warm, COMMANDS, SEED)
    for name, found in sorted(counts.items()):
        print(f"{name:28} {dict(found)}")
    assert not faults, "\n".join(faults)
    assert sum(sum(found.values()) for found in counts.values()) == COMMANDS
    assert sum(found["named"] for found in counts.values()) > COMMANDS / 4, (
        "the damage must be damage"
    )
