"""Every command there is, and its real parser."""

import shlex
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from engine.cli import Training

ROOT = Path(__file__).parent.parent

ROOMS = ("rid", "detectors", "indexing", "sentinels", "datamodules", "checkpoints", "eval", "tiny")

VERBS = [f"{room} {verb}" for room in ROOMS for verb in import_module(f"{room}.__main__").VERBS]


class Parsed(Exception):
    """Thrown when a LightningCLI has parsed its arguments."""


def lightning(room, arguments):
    """The parser of a room's LightningCLI, which parsed the arguments if there are any."""
    from engine.training import TrainingCLI

    def stop(cli, *_):
        raise Parsed(cli)

    main = import_module(
        {"rid": "rid.training.cli", "detectors": "detectors.cli", "tiny": "tiny.training"}[room]
    ).main
    with patch.object(
        TrainingCLI, "before_instantiate_classes" if arguments else "parse_arguments", stop
    ):
        try:
            main(arguments)
        except Parsed as parsed:
            return parsed.args[0].parser
    raise AssertionError


def accepted(command):
    """The parser that reads a verb's arguments."""
    room, name = command.split()
    verb = import_module(f"{room}.__main__").VERBS[name]
    if isinstance(verb, Training):
        return lightning(room, [])._subcommands_action._name_parser_map[name]
    return verb.parser(command)


def parse(line):
    """Parse a command line as it is started, without doing anything.

    Raises:
        UsageError: If it is wrong.
        AssertionError: If there is no such verb.
    """
    words = shlex.split(line, comments=True)
    room, name, *arguments = words[words.index("-m") + 1 :] if "-m" in words else words
    verbs = import_module(f"{room}.__main__").VERBS
    assert name in verbs, f"no verb {name} in {room}"
    arguments = [word for word in arguments if word not in ("--help", "--help-all")]
    if isinstance(verbs[name], Training):
        lightning(room, [name, *arguments])
    elif (room, name) == ("checkpoints", "convert"):
        from checkpoints.__main__ import CONVERTERS

        other = CONVERTERS[arguments[arguments.index("--kind") + 1]]
        import_module(other).VERBS["convert"].parser(
            f"{other.partition('.')[0]} convert"
        ).parse_args(arguments)
    else:
        verbs[name].parser(f"{room} {name}").parse_args(arguments)
