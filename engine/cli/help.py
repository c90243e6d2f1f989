"""Help pages: usage, an example, and every option in a line or two."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from engine.cli.words import choices, listed, metavar, type_text

COLUMN = 30
"""Where the text about an option begins."""

COMMON = ("config", "print_config", "json", "quiet", "version", "help")


def help_text(parser: ArgumentParser, example: str) -> str:
    """The help page of a verb."""
    actions = list(shown(parser))
    needed = [action for action in actions if not action.option_strings or action.required]
    common = [action for action in actions if action.dest in COMMON]
    rest = [action for action in actions if action not in needed and action not in common]
    parts = [usage(parser, needed)]
    if parser.description:
        parts.append(_filled(parser.description, ""))
    if example:
        parts.append(f"example:\n  python -m {example}")
    parts += [
        _section("needed", needed),
        _section("options", [action for action in rest if "." not in action.dest]),
    ]
    for prefix in dict.fromkeys(action.dest.split(".")[0] for action in rest if "." in action.dest):
        parts.append(
            _section(
                prefix.replace("_", "-"),
                [action for action in rest if action.dest.startswith(f"{prefix}.")],
            )
        )
    parts.append(_section("common", common))
    if any(_takes_class(action) for action in actions):
        parts.append(
            _filled(
                "An option that takes a CLASS has settings of its own: --OPTION.help CLASS lists them.",
                "",
            )
        )
    return "\n\n".join(part for part in parts if part) + "\n"


def shown(parser: ArgumentParser) -> Iterator[argparse.Action]:
    """What a user may give."""
    from jsonargparse._actions import _ActionConfigLoad, _ActionHelpClassPath
    from jsonargparse._link_arguments import ActionLink

    for action in parser._actions:
        if action.help is not argparse.SUPPRESS and not isinstance(
            action, _ActionConfigLoad | _ActionHelpClassPath | ActionLink
        ):
            yield action


def usage(parser: ArgumentParser, needed: list[argparse.Action]) -> str:
    """The first line: how the verb is called."""
    return " ".join(
        [
            "usage:",
            parser.prog,
            *(_invocation(action, short=True) for action in needed),
            "[options]",
        ]
    )


def option_name(action: argparse.Action) -> str:
    """An option as it is written in words: ``-o/--output``, ``--batch-size``; a positional one in capitals."""
    if not action.option_strings:
        return action.dest.upper()
    return "/".join(spellings(action))


def spellings(action: argparse.Action) -> list[str]:
    """What an option may be called; ``--data+``, which appends, goes without saying."""
    return [kebab(option) for option in action.option_strings if not option.endswith("+")]


def kebab(option: str) -> str:
    """An option with hyphens."""
    return option.replace("_", "-")


def typed(action: argparse.Action) -> str:
    """Source text of an option's type; empty if it takes no value."""
    if action.nargs == 0:
        return ""
    outlined = getattr(action, "outlined", None)
    kind = outlined or getattr(action, "_typehint", None) or action.type or "str"
    return type_text(kind)


def _takes_class(action: argparse.Action) -> bool:
    return _sign(action) == "CLASS"


def _sign(action: argparse.Action) -> str:
    """What stands for an option's value."""
    kind = typed(action)
    if action.dest in COMMON:
        return "FILE" if action.dest == "config" else ""
    if not kind:
        return ""
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    sign = metavar(kind)
    return sign if len(sign) <= COLUMN else "VALUE"


def _invocation(action: argparse.Action, short: bool = False) -> str:
    many = "..." if action.nargs in ("+", "*") else ""
    if not action.option_strings:
        name = action.dest.upper() + many
        return name if action.required else f"[{name}]"
    names = spellings(action)
    sign = _sign(action)
    return ((names[0] if short else ", ".join(names)) + (f" {sign}" if sign else "") + many).strip()


def _section(title: str, actions: list[argparse.Action]) -> str:
    return "\n".join([f"{title}:", *map(_row, actions)]) if actions else ""


def _row(action: argparse.Action) -> str:
    about = " ".join((action.help or "").replace("``", "").split()).rstrip(".")
    allowed = choices(typed(action)) if _sign(action) == "VALUE" else []
    notes = ([listed(allowed)] if allowed else []) + (
        [f"default {default}"] if (default := _default(action)) else []
    )
    about += f" ({'; '.join(notes)})" if notes else ""
    head = f"  {_invocation(action)}"
    if not about:
        return head
    lines = _filled(about, " " * COLUMN)
    return head + lines[len(head) :] if len(head) < COLUMN - 1 else f"{head}\n{lines}"


def _default(action: argparse.Action) -> str:
    """An option's default in the spelling of YAML; empty where it would tell nothing."""
    if (
        (not action.option_strings and action.nargs not in ("?", "*"))
        or action.dest in COMMON
        or action.nargs == 0
    ):
        return ""
    value = action.default
    if getattr(action, "outlined", None):
        text = "" if value in (None, "None", "()", "[]", "''") else str(value)
        text = {"True": "true", "False": "false"}.get(text, text).strip("'\"")
        return "" if "(" in text and text[0].isalpha() else text
    return "" if value is argparse.SUPPRESS else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]" if value else ""
    return str(value) if isinstance(value, int | float | str | Path) else ""


def _filled(text: str, indent: str) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        textwrap.fill(
            " ".join(part.split()),
            max(width, COLUMN + 30),
            initial_indent=indent,
            subsequent_indent=indent,
        )
        for part in paragraphs
    )
