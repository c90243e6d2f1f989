"""Reference pages of the commands: one for each package, and a table of all."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from page_tables import plain, table
from page_texts import LIGHTNING, NOTE

ROOMS = ("rid", "detectors", "indexing", "sentinels", "datamodules", "checkpoints", "eval", "tiny")


def cli_index() -> str:
    """List all commands in one table."""
    rows = []
    for room in ROOMS:
        for name, verb in importlib.import_module(f"{room}.__main__").VERBS.items():
            rows.append([f"[`{room} {name}`]({room}.md#{name})", plain(verb.about)])
    return (
        NOTE
        + "# Commands\n\n"
        + "Every command is `python -m PACKAGE VERB`. "
        + "See [Using the commands](../../how-to/commands.md) for the options "
        + "that all of them share, for exit codes and for configs.\n\n"
        + table(["command", "purpose"], rows)
    )


def cli_page(room: str) -> str:
    """Describe the commands of a package with options, defaults and examples."""
    module = importlib.import_module(f"{room}.__main__")
    parts = [NOTE, f"# python -m {room}\n", plain(module.ROOM.about) + "\n"]
    for name, verb in module.VERBS.items():
        parts += [f"## {name}\n", plain(verb.about) + "\n", f"```\npython -m {verb.example}\n```\n"]
        parts += options(verb.parser(f"{room} {name}", outline=True))
    return "\n".join(parts)


def options(parser: Any) -> Iterator[str]:
    """Yield the options of a command as tables, one for each group."""
    from engine.cli import help as shown

    actions = [
        action for action in shown.visible_actions(parser) if action.dest not in shown.COMMON
    ]
    trainer = [action for action in actions if action.dest.startswith("trainer.")]
    needed = [action for action in actions if not action.option_strings or action.required]
    # Group the other options by the object that they configure.
    groups: dict[str, list[Any]] = {"Required": needed, "Options": []}
    for action in actions:
        if action in needed or action in trainer:
            continue
        title = "Options"
        if "." in action.dest:
            title = f"`--{shown.kebab(action.dest.split('.')[0])}.*`"
        groups.setdefault(title, []).append(action)
    for title, members in groups.items():
        if members:
            rows = [option_row(action) for action in members]
            options_table = table(["option", "value", "default", "meaning"], rows)
            yield f"**{title}**\n"
            yield f'<div class="options" markdown>\n\n{options_table}\n</div>\n'
    if trainer:
        yield LIGHTNING + "\n"


def option_row(action: Any) -> list[str]:
    """Describe an option: spellings, values, default and meaning."""
    from engine.cli import help as shown
    from engine.cli.option_types import choices, one_of

    spellings = ", ".join(f"`{spelling}`" for spelling in shown.spellings(action))
    name = spellings or f"`{action.dest.upper()}`"
    kind = shown.type_source(action)
    value = shown.placeholder(action) + (" ..." if action.nargs in ("+", "*") else "")
    allowed = choices(kind) if value.startswith("VALUE") else []
    about = plain(action.help or "")
    if allowed:
        about += f" ({one_of(allowed)})"
    default = shown.default_text(action)
    value = value.strip()
    for old, new in (("|", " or "), ("{", ""), ("}", ""), (",", ", "), ("  ", " ")):
        value = value.replace(old, new)
    return [name, f"`{value}`" if value else "", f"`{default}`" if default.strip() else "", about]
