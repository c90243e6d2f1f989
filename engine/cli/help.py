"""Help pages: usage, an example, and a line or two for every option."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from engine.cli.option_types import choices, metavar, one_of, type_text

HELP_COLUMN = 30
"""Column where the text about an option begins."""

COMMON = ("config", "print_config", "json", "quiet", "version", "help")
"""Options of every verb."""

CLASS_HINT = "An option that takes a CLASS has settings of its own: --OPTION.help CLASS lists them."


def help_text(parser: ArgumentParser, example: str) -> str:
    """Format the help page of a verb."""
    # sort the options into sections
    actions = list(visible_actions(parser))
    required = [action for action in actions if not action.option_strings or action.required]
    common = [action for action in actions if action.dest in COMMON]
    optional = [action for action in actions if action not in required and action not in common]
    ungrouped: list[argparse.Action] = []
    groups: dict[str, list[argparse.Action]] = {}
    for action in optional:
        prefix, dot, _ = action.dest.partition(".")
        if dot:
            groups.setdefault(prefix.replace("_", "-"), []).append(action)
        else:
            ungrouped.append(action)

    # format the page
    parts = [usage(parser, required)]
    if parser.description:
        parts.append(_fill(parser.description, ""))
    if example:
        parts.append(f"example:\n  python -m {example}")
    parts.append(_section("needed", required))
    parts.append(_section("options", ungrouped))
    parts += [_section(title, members) for title, members in groups.items()]
    parts.append(_section("common", common))
    if any(placeholder(action) == "CLASS" for action in actions):
        parts.append(_fill(CLASS_HINT, ""))
    return "\n\n".join(part for part in parts if part) + "\n"


def visible_actions(parser: ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a parser that help shows."""
    from jsonargparse._actions import _ActionConfigLoad, _ActionHelpClassPath
    from jsonargparse._link_arguments import ActionLink

    internal = (_ActionConfigLoad, _ActionHelpClassPath, ActionLink)
    for action in parser._actions:
        if action.help is not argparse.SUPPRESS and not isinstance(action, internal):
            yield action


def usage(parser: ArgumentParser, required: list[argparse.Action]) -> str:
    """Format the first line of help: the command with its required options."""
    options = [_invocation(action, short=True) for action in required]
    return " ".join(["usage:", parser.prog, *options, "[options]"])


def option_name(action: argparse.Action) -> str:
    """Format an option for messages: ``-o/--output``, ``--batch-size``, or ``PHOTOS``."""
    if not action.option_strings:
        return action.dest.upper()
    return "/".join(spellings(action))


def spellings(action: argparse.Action) -> list[str]:
    """Return the names of an option in kebab case, without the appending form ``--data+``."""
    return [kebab(option) for option in action.option_strings if not option.endswith("+")]


def kebab(option: str) -> str:
    """Convert an option to kebab case."""
    return option.replace("_", "-")


def type_source(action: argparse.Action) -> str:
    """Return the source text of an option's type; empty if it takes no value."""
    if action.nargs == 0:
        return ""
    outlined = getattr(action, "outlined", None)
    kind = outlined or getattr(action, "_typehint", None) or action.type or "str"
    return type_text(kind)


def placeholder(action: argparse.Action) -> str:
    """Return the placeholder of an option's value, such as ``N`` or ``PATH``."""
    kind = type_source(action)
    if action.dest in COMMON:
        return "FILE" if action.dest == "config" else ""
    if not kind:
        return ""
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    sign = metavar(kind)
    return sign if len(sign) <= HELP_COLUMN else "VALUE"


def default_text(action: argparse.Action) -> str:
    """Format an option's default as YAML; empty if it has none worth showing."""
    is_required = not action.option_strings and action.nargs not in ("?", "*")
    if is_required or action.dest in COMMON or action.nargs == 0:
        return ""
    value = action.default
    if getattr(action, "outlined", None):
        return _of_source(value)
    return "" if value is argparse.SUPPRESS else _plain(value)


def _of_source(value: Any) -> str:
    """Format a default that is source text; empty for empty values and calls."""
    text = "" if value in (None, "None", "()", "[]", "''") else str(value)
    text = {"True": "true", "False": "false"}.get(text, text).strip("'\"")
    is_call = "(" in text and text[0].isalpha()
    return "" if is_call else text


def _plain(value: Any) -> str:
    """Format a default value as YAML; empty if it is no plain value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]" if value else ""
    return str(value) if isinstance(value, int | float | str | Path) else ""


def _invocation(action: argparse.Action, short: bool = False) -> str:
    """Format an option with its placeholder; ``short`` uses its first name only."""
    many = "..." if action.nargs in ("+", "*") else ""
    if not action.option_strings:
        name = action.dest.upper() + many
        return name if action.required else f"[{name}]"
    names = spellings(action)
    name = names[0] if short else ", ".join(names)
    sign = placeholder(action)
    value = f" {sign}" if sign else ""
    return f"{name}{value}{many}".strip()


def _section(title: str, actions: list[argparse.Action]) -> str:
    """Format a titled list of options; empty if there are none."""
    return "\n".join([f"{title}:", *map(_row, actions)]) if actions else ""


def _row(action: argparse.Action) -> str:
    """Format an option with its help, its choices and its default."""
    # the text about the option
    about = " ".join((action.help or "").replace("``", "").split()).rstrip(".")
    notes = []
    allowed = choices(type_source(action)) if placeholder(action) == "VALUE" else []
    if allowed:
        notes.append(one_of(allowed))
    default = default_text(action)
    if default:
        notes.append(f"default {default}")
    if notes:
        about += f" ({'; '.join(notes)})"

    # beside the option if there is room, else below it
    head = f"  {_invocation(action)}"
    if not about:
        return head
    lines = _fill(about, " " * HELP_COLUMN)
    return head + lines[len(head) :] if len(head) < HELP_COLUMN - 1 else f"{head}\n{lines}"


def _fill(text: str, indent: str) -> str:
    """Wrap the paragraphs of a text to the width of the terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    wrapper = textwrap.TextWrapper(
        max(width, HELP_COLUMN + 30), initial_indent=indent, subsequent_indent=indent
    )
    return "\n\n".join(wrapper.fill(" ".join(part.split())) for part in text.split("\n\n"))
