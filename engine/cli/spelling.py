"""Spellings of options: kebab case, snake case, and names of earlier versions."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from jsonargparse import ArgumentParser

from engine.cli.actions import subparsers
from engine.renaming import Moved, Renamed, present_name, refuse_moved

REMOVED_SWITCHES = {"--resume"}
"""Switches of earlier versions that are ignored: every job resumes without them."""

CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
"""Endings of files with the settings of a group."""


def normalize_options(
    arguments: Sequence[str],
    parser: ArgumentParser,
    renamed: Renamed = MappingProxyType({}),
    moved: Moved = MappingProxyType({}),
) -> list[str]:
    """Rewrite the options of a command line to the parser's spelling.

    Kebab case, snake case and names of earlier versions are accepted.

    Args:
        arguments: The command line.
        parser: The parser of the command.
        renamed: Present names of settings by former ones.
        moved: Present places of settings that are refused under their former names.

    Raises:
        ValueError: If the command line has such a setting.
    """
    # the options of the parser, or of the subcommand
    subparser = subparsers(parser).get(arguments[0]) if arguments else None
    known = set((subparser or parser)._option_string_actions)

    normalized: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return normalized + list(arguments[position:])
        name, equals, value = argument.partition("=")
        if name in REMOVED_SWITCHES - known:
            continue
        if name.startswith("--"):
            refuse_moved(_snake(name)[2:], moved)
            option = _normalize_option(name, known, renamed)
            following = value if equals else "".join(arguments[position + 1 : position + 2])
            argument = _of_group(option, following, known) + equals + value
        normalized.append(argument)
    return normalized


def _of_group(option: str, value: str, known: set[str]) -> str:
    """Return ``--GROUP.name`` for ``--GROUP NAME``; settings and their files stay the group's."""
    if f"{option}.name" not in known or value.startswith("{") or value.endswith(CONFIG_SUFFIXES):
        return option
    return f"{option}.name"


def _normalize_option(name: str, known: set[str], renamed: Renamed) -> str:
    """Return the known spelling of an option; an unknown option keeps its name."""
    snake_case = _snake(name)
    present = "--" + present_name(snake_case[2:], renamed)
    candidates = [name, snake_case, _kebab(name), present, _kebab(present)]
    for candidate in candidates:
        if candidate in known:
            return candidate
    return present if "." in name else name


def _kebab(option: str) -> str:
    """Convert a long option to kebab case."""
    return "--" + option[2:].replace("_", "-")


def _snake(option: str) -> str:
    """Convert a long option to snake case."""
    return "--" + option[2:].replace("-", "_")
