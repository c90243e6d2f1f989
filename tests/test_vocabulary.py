"""Verbs and options are frozen: scripts of users depend on them."""

import importlib
from pathlib import Path

from engine.cli.help import COMMON, option_name, visible_actions
from tests.commands import VERBS

FROZEN = Path(__file__).with_name("vocabulary.txt")
"""A line for each verb: its name, a colon, its options."""


def line_of(command):
    room, verb = command.split()
    parser = importlib.import_module(f"{room}.__main__").VERBS[verb].parser(command, outline=True)
    names = [
        option_name(action)
        for action in visible_actions(parser)
        if action.dest not in COMMON and not action.dest.startswith("trainer.")
    ]
    return f"{command}: {' '.join(names)}".rstrip()


def test_no_verb_or_option_changes_unnoticed():
    frozen = set(FROZEN.read_text().splitlines())
    current = {line_of(command) for command in VERBS}
    gone, new = sorted(frozen - current), sorted(current - frozen)
    assert frozen == current, (
        "verbs or options have changed; if this is meant, keep the old spelling working, "
        f"write it into CHANGELOG.md, and edit {FROZEN.name}. No longer so:\n"
        + "\n".join(gone)
        + "\nNow:\n"
        + "\n".join(new)
    )


def test_options_of_common_meaning_have_one_spelling():
    options = {word for line in FROZEN.read_text().splitlines() for word in line.split()[2:]}
    synonyms = {
        "--out",
        "--output-dir",
        "--gpus",
        "--num-workers",
        "--batchsize",
        "--ckpt",
        "--resume",
        "--checkpoint",
    }
    assert not options & synonyms
    assert not {option for option in options if "_" in option}
