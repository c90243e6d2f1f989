"""Short help: required options, a verb's own, and one line for each group of others."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from engine.cli.help import (
    HELP_COLUMN,
    columns,
    format_row,
    heading,
    kebab,
    plain_text,
    section,
    sort_options,
    text_width,
)

DEVICES = ("accelerator", "devices", "num_nodes", "precision", "batch_size", "workers")
"""Options that have Lightning's meaning in every job."""

COMMON_OPTIONS = "-c/--config FILE, --print-config, --json, --quiet, --version"

LAST_LINE = "--help-all explains every option."

MAX_CHARACTERS = 100
"""Length of the text about an option."""


def short_help(parser: ArgumentParser, example: str) -> str:
    """Format the help page of a verb on about one screen."""
    options = sort_options(parser)
    own = [action for action in options.ungrouped if action.dest not in DEVICES]
    devices = [action for action in options.ungrouped if action.dest in DEVICES]
    rows = [format_row(action, first_sentence(action.help or "")) for action in own]
    rows += _device_rows(devices)
    rows += [_group_row(title, members) for title, members in options.groups.items()]
    parts = [
        *heading(parser, options.required, example),
        section("needed", [format_row(action) for action in options.required]),
        section("options", [*rows, f"  {COMMON_OPTIONS}"]),
        LAST_LINE,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def first_sentence(text: str) -> str:
    """Shorten the text about an option to :data:`MAX_CHARACTERS`."""
    sentence = re.split(r"(?<=[a-z0-9)])[.;] ", plain_text(text))[0]
    if len(sentence) <= MAX_CHARACTERS:
        return sentence
    cut = sentence[:MAX_CHARACTERS]
    clause = cut.rpartition(", ")[0]
    return clause or cut.rpartition(" ")[0].rstrip(":;") + " …"


def _device_rows(actions: Sequence[argparse.Action]) -> list[str]:
    """Format the options of every job as one entry."""
    if not actions:
        return []
    names = ", ".join(f"--{kebab(action.dest)}" for action in actions)
    return [f"  {names}:", columns("", "as in Lightning; --help-all explains them")]


def _group_row(title: str, members: Sequence[argparse.Action]) -> str:
    """Format a group of options as one line."""
    names = ", ".join(kebab(action.dest.partition(".")[2]) for action in members)
    text = f"{len(members)} setting{'s' if len(members) > 1 else ''}: {names}"
    space = text_width() - HELP_COLUMN
    if len(text) > space:
        text = text[: space - 1].rpartition(",")[0] + ", …"
    return columns(f"--{title}.*", text)
