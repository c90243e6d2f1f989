"""Spellings of options: kebab case, snake case, and names of earlier versions."""

from __future__ import annotations

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from engine.cli.actions import subparsers

REMOVED_SWITCHES = {"--resume"}
"""Switches of earlier versions that are ignored: every job resumes without them."""

RENAMED_OPTIONS = {"--num-workers": "--workers"}
"""Options of earlier versions that stay accepted, with their present names."""


def normalize_options(arguments: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Rewrite the options of a command line to the parser's spelling.

    Kebab case, snake case and names of earlier versions are accepted.
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
            argument = _normalize_option(name, known) + equals + value
        normalized.append(argument)
    return normalized


def _normalize_option(name: str, known: set[str]) -> str:
    """Return the known spelling of an option; an unknown option keeps its name."""
    kebab_case = _kebab(name)
    snake_case = _snake(name)
    candidates = [name, snake_case, kebab_case]
    if kebab_case in RENAMED_OPTIONS:
        renamed = RENAMED_OPTIONS[kebab_case]
        candidates += [renamed, _snake(renamed)]
    for candidate in candidates:
        if candidate in known:
            return candidate
    return snake_case if "." in name else name


def _kebab(option: str) -> str:
    """Convert a long option to kebab case."""
    return "--" + option[2:].replace("_", "-")


def _snake(option: str) -> str:
    """Convert a long option to snake case."""
    return "--" + option[2:].replace("-", "_")
