"""Access to the options and subcommands of a jsonargparse parser."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from jsonargparse import ArgumentParser


def subparsers(parser: ArgumentParser) -> dict[str, Any]:
    """Return the parsers of subcommands by name."""
    action = getattr(parser, "_subcommands_action", None)
    return {} if action is None else action._name_parser_map


def all_actions(parser: ArgumentParser) -> list[argparse.Action]:
    """Return the options of a parser and of its subcommands."""
    actions = list(parser._actions)
    for subparser in subparsers(parser).values():
        actions += all_actions(subparser)
    return actions


def find_action(name: str, parser: ArgumentParser) -> argparse.Action | None:
    """Find an option by its key, or by its key after the name of a subcommand."""
    key = name.replace("-", "_")
    by_key = {action.dest: action for action in reversed(all_actions(parser))}
    return by_key.get(key) or by_key.get(key.partition(".")[2])


def needs_value(action: argparse.Action) -> bool:
    """Return True if null is no value of an option."""
    kind = getattr(action, "_typehint", None)
    if kind is None or kind is Any or type(None) in get_args(kind):
        return False
    return action.default is not None and action.default is not argparse.SUPPRESS
