"""Help pages: usage, an example, and a line or two for every option."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from engine.cli.option_types import choices, metavar, one_of, type_text

HELP_COLUMN = 30
"""Column where the text about an option begins."""

COMMON = ("config", "print_config", "json", "quiet", "version", "help", "help_all")
"""Options of every verb."""

CLASS_HINT = "An option that takes a CLASS has settings of its own: --OPTION.help CLASS lists them."


@dataclass(frozen=True)
class Options:
    """Options of a verb in the sections of its help.

    Attributes:
        required: Positional and required ones.
        ungrouped: Optional ones without a dot.
        groups: Optional ones with a dot, by what is before it.
        common: Those of every verb.
    """

    required: list[argparse.Action]
    ungrouped: list[argparse.Action]
    groups: dict[str, list[argparse.Action]]
    common: list[argparse.Action]


def sort_options(parser: ArgumentParser) -> Options:
    """Sort the options of a parser into the sections of its help."""
    options = Options([], [], {}, [])
    for action in visible_actions(parser):
        prefix, dot, _ = action.dest.partition(".")
        if action.dest in COMMON:
            options.common.append(action)
        elif not action.option_strings or action.required:
            options.required.append(action)
        elif dot:
            options.groups.setdefault(kebab(prefix), []).append(action)
        else:
            options.ungrouped.append(action)
    return options


def help_text(parser: ArgumentParser, example: str) -> str:
    """Format the full help page of a verb."""
    options = sort_options(parser)
    parts = heading(parser, options.required, example)
    parts.append(section("needed", map(format_row, options.required)))
    parts.append(section("options", map(format_row, options.ungrouped)))
    for title, members in options.groups.items():
        parts.append(section(title, map(format_row, members)))
    parts.append(section("common", map(format_row, options.common)))
    if any(placeholder(action) == "CLASS" for action in visible_actions(parser)):
        parts.append(_fill(CLASS_HINT, ""))
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(parser: ArgumentParser, required: list[argparse.Action], example: str) -> list[str]:
    """Format the top of a help page: usage, purpose and example."""
    parts = [usage(parser, required)]
    if parser.description:
        parts.append(_fill(parser.description, ""))
    if example:
        parts.append(f"example:\n  python -m {example}")
    return parts


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


def section(title: str, rows: Iterable[str]) -> str:
    """Format a titled list of options; empty if there are none."""
    lines = list(rows)
    return "\n".join([f"{title}:", *lines]) if lines else ""


def format_row(action: argparse.Action, about: str | None = None) -> str:
    """Format an option with its help, its choices and its default.

    Args:
        action: The option.
        about: Text about it; None for all of its help.
    """
    about = (action.help or "") if about is None else about
    about = plain_text(about).rstrip(".")
    notes = []
    allowed = choices(type_source(action)) if placeholder(action) == "VALUE" else []
    if allowed:
        notes.append(one_of(allowed))
    default = default_text(action)
    if default:
        notes.append(f"default {default}")
    if notes:
        about += f" ({'; '.join(notes)})"
    return columns(_invocation(action), about)


def columns(option: str, about: str) -> str:
    """Put a text beside an option if there is room, else below it."""
    head = f"  {option}".rstrip()
    if not about:
        return head
    lines = _fill(about, " " * HELP_COLUMN)
    return head + lines[len(head) :] if len(head) < HELP_COLUMN - 1 else f"{head}\n{lines}"


def plain_text(text: str) -> str:
    """Remove Sphinx roles, backquotes and line breaks from a docstring's text."""
    text = re.sub(r":\w+:`~(?:[^`.]*\.)*([^`.]+)`", r"\1", text)  # ~ stands for the last name
    text = re.sub(r":\w+:`([^`]+)`", r"\1", text)
    return " ".join(text.replace("`", "").split())


def text_width() -> int:
    """Return the characters of a line."""
    terminal = shutil.get_terminal_size((100, 24)).columns
    return max(min(terminal, 110), HELP_COLUMN + 30)


def _fill(text: str, indent: str) -> str:
    """Wrap the paragraphs of a text to the width of the terminal."""
    wrapper = textwrap.TextWrapper(text_width(), initial_indent=indent, subsequent_indent=indent)
    return "\n\n".join(wrapper.fill(" ".join(part.split())) for part in text.split("\n\n"))
