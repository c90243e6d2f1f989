"""One-line messages for jsonargparse's errors: option, value, allowed values."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from inspect import isabstract
from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from engine.cli.actions import all_actions, find_action
from engine.cli.help import kebab, option_name
from engine.cli.option_types import choices, describe, did_you_mean, one_of, type_text

MISMATCH = "Expected a |Not a valid subclass of|Does not implement protocol"
"""Beginnings of errors about a value of another type."""

UNION = "Does not validate against any of the Union subtypes"

PARSER_KEY = r'Parser key "([^"]+)"(?: element \d+)?: ?(.*)'

UNKNOWN_SETTING = (
    r"(?:Option '(?P<option>[^']+)' is not accepted"
    r"|(?:Group|Subcommand) '(?P<group>[^']+)' does not accept option '(?P<inner>[^']+)')"
)

MAX_VALUE_CHARS = 60
"""Longest part of a wrong value that a message repeats."""


def clean(message: str, parser: ArgumentParser, in_file: bool = False) -> str:
    """Rewrite a parser's message in one line.

    Args:
        message: Message of jsonargparse or argparse.
        parser: The parser, whose options are suggested for unknown ones.
        in_file: The message is about a setting in a file, not about an option.
    """
    if match := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        return _unrecognized(match[1].split(), parser)
    if match := re.match(r"the following arguments are required: (.*)", message):
        return f"missing: {_describe_options(match[1].split(', '), parser)}"
    if match := re.match(r"argument ([^:]+): (.*)", message, re.DOTALL):
        return f"{_option(match[1], parser)}: {_of_argparse(match[2])}"
    if match := re.match(r"Problems parsing config: (.*)", message, re.DOTALL):
        return f"not valid YAML: {_yaml_error(match[1])}"
    if message.startswith("Unexpected config: "):
        return "not a mapping of settings, such as 'batch_size: 8'"
    if match := re.match(UNKNOWN_SETTING, message):
        return _unknown_setting(match, parser)
    if match := re.match(PARSER_KEY, message, re.DOTALL):
        action = find_action(match[1], parser)
        name = match[1] if in_file else _option(match[1], parser)
        return f"{name}: {reason(match[2], getattr(action, '_typehint', None))}"
    return message


def clean_failure(error: Exception) -> str | None:
    """Rewrite jsonargparse's error of building a config's classes; None for other errors."""
    text = str(error)
    is_from_jsonargparse = text.startswith((UNION, "Parser key ", "Problem with given class_path"))
    return reason(text) if is_from_jsonargparse else None


def reason(text: str, declared: Any = None) -> str:
    """Extract the reason from jsonargparse's nested error message.

    Args:
        text: The message, with nested messages indented.
        declared: Type of the option; None if unknown.
    """
    text = textwrap.dedent(text.removeprefix("\n")).strip()
    if text.startswith(UNION):
        return _of_union(text, declared)
    for pattern, format_reason in REASONS.items():
        if match := re.match(pattern, text, re.DOTALL):
            return format_reason(match, declared)
    return text


def _of_union(text: str, declared: Any) -> str:
    """Return the most specific reason why a value is no member of a union.

    An error inside a value of the right type is the most specific; otherwise the reason lists
    the allowed types.
    """
    # split the errors, one for each member
    value_line = re.search(r"\nGiven value: (.*)\Z", text, re.DOTALL)
    value = value_line[1] if value_line else ""
    block = re.search(r"\nErrors:\n(.*?)\nGiven value type: ", text, re.DOTALL)
    parts = re.split(r"^ {2}- ", block[1] if block else "", flags=re.MULTILINE)
    errors = [_dedent_rest(part) for part in parts if part]

    # an error inside a value of the right type
    inner = [error for error in errors if not re.match(MISMATCH, error)]
    if inner:
        return reason(max(inner, key=_depth), declared)

    # else the allowed types
    prefix = "Expected a "
    kinds = [error.removeprefix(prefix) for error in errors if error.startswith(prefix)]
    if all(re.match("dot import|<class 'NoneType'>", kind) for kind in kinds):
        return _not_a_class(value, declared)
    plain = [kind for kind in kinds if not kind.startswith("dot import")]
    return _not(value, " | ".join(plain))


def _dedent_rest(error: str) -> str:
    """Remove the indentation of all lines but the first."""
    head, _, rest = error.strip("\n").partition("\n")
    return f"{head}\n{textwrap.dedent(rest)}" if rest else head


def _depth(error: str) -> int:
    """Count the levels of nesting in an error; errors of the right class are nested deeper."""
    return error.count("Parser key") + error.count("Problem with given") + error.count(UNION)


def _not(value: str, kind: str) -> str:
    """Format that a value is not of a type."""
    text = type_text(kind)
    return f"{_quote(value)} is not {describe(text)}{did_you_mean(value, choices(text))}"


def _not_a_class(value: str, declared: Any) -> str:
    """Format that a value is not one of the allowed classes."""
    names = sorted(class_names(declared))
    allowed = one_of(names) if names else "the name of a class with its module"
    return f"{_quote(value)} is not {allowed}{did_you_mean(value, names)}"


def _not_a_choice(match: re.Match[str], _: Any) -> str:
    """Format that a value is not one of the choices."""
    allowed = re.findall(r"'([^']*)'", match[2])
    suggestion = did_you_mean(match[1].strip("'"), allowed)
    return f"{match[1]} is not {one_of(allowed)}{suggestion}"


def _no_file(match: re.Match[str], _: Any) -> str:
    """Format that a file does not exist, with its path relative to the working folder."""
    is_below = Path(match[1]).is_relative_to(Path.cwd())
    return f"{os.path.relpath(match[1]) if is_below else match[1]}: no such file"


def _of_class(match: re.Match[str], _: Any) -> str:
    """Format the reason inside a class's settings."""
    return f"{match[1].rpartition('.')[2]}: {reason(match[2])}"


REASONS: dict[str, Callable[[re.Match[str], Any], str]] = {
    r"Expected a (?!tuple with|dot import)(.*?)\. Got value: (.*)": (
        lambda match, _: _not(match[2], match[1])
    ),
    r"Expected a tuple with (\d+) elements\. Got value: (.*)": (
        lambda match, _: f"{_quote(match[2])} is not {match[1]} values such as [a, b]"
    ),
    PARSER_KEY: lambda match, _: f"{match[1]}: {reason(match[2])}",
    r"Problem with given class_path '([^']+)':\n(.*)": _of_class,
    r"Option '([^']+)' is not accepted": lambda match, _: f"there is no setting '{match[1]}'",
    r"Expected a dot import path string: (.*)": (
        lambda match, declared: _not_a_class(match[1], declared)
    ),
    r"(?:Not a valid subclass of|Does not implement protocol) \w+\. "
    r"Got value: (.*?)(?:\nSubclass|\Z)": lambda match, declared: _not_a_class(match[1], declared),
    r"Import path (\S+) does not (?:correspond to a subclass of|implement protocol) (\S+)": (
        lambda match, _: f"'{match[1]}' is no {match[2]}"
    ),
    r"Expected an instantiatable class, but (\S+) is abstract": (
        lambda match, _: f"class_path is missing; name a kind of {match[1].rpartition('.')[2]}"
    ),
    r"([^\n]*) not among choices ([^\n]*)": _not_a_choice,
    r"(?:File does not exist|Path is not a file): '([^\n]*)'": _no_file,
}
"""Formatters of jsonargparse's messages, by the pattern of the message."""


def class_names(declared: Any) -> set[str]:
    """Return the names of the imported classes that a type allows."""
    names: set[str] = set()
    if isinstance(declared, type) and not get_args(declared):
        subclasses: list[type] = type.__subclasses__(declared)
        for kind in subclasses:
            names |= class_names(kind)
        if not isabstract(declared) and not declared.__name__.startswith("_"):
            names.add(declared.__name__)
        return names
    for part in get_args(declared):
        if part is not type(None):
            names |= class_names(part)
    return names


def _quote(value: str) -> str:
    """Quote a value on one line, shortened to 60 characters."""
    value = " ".join(value.split())
    if len(value) > MAX_VALUE_CHARS:
        value = value[:MAX_VALUE_CHARS] + "…"
    return f"'{value}'"


def _unrecognized(arguments: Sequence[str], parser: ArgumentParser) -> str:
    """Format that an option or a value is unknown, with the closest option."""
    unknown = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    if not unknown:
        return f"'{arguments[0]}' is one value too many" if arguments else "too many values"
    known = []
    for action in _visible_actions(parser):
        known += [kebab(option) for option in action.option_strings if option.startswith("--")]
    option = kebab(unknown[0])
    hint = did_you_mean(option, known) or f"; {parser.prog} --help-all lists them"
    return f"there is no option {option}{hint}"


def _unknown_setting(match: re.Match[str], parser: ArgumentParser) -> str:
    """Format that a config has an unknown setting, with the closest known one."""
    name = match["option"]
    if not name:
        group = match["group"]
        is_group = any(action.dest.startswith(f"{group}.") for action in all_actions(parser))
        name = f"{group}.{match['inner']}" if is_group else match["inner"]
    known = [action.dest for action in _visible_actions(parser)]
    return f"there is no setting '{name}'{did_you_mean(name, known)}"


def _of_argparse(text: str) -> str:
    """Rewrite argparse's error of one option."""
    if text.startswith("expected"):
        return "a value is missing"
    if match := re.match(r"ignored explicit argument (.*)", text):
        return f"takes no value, got {match[1]}"
    return text


def _yaml_error(text: str) -> str:
    """Extract the problem with its line and column from a YAML error."""
    place = re.search(r"line (\d+), column (\d+)", text)
    problem = re.search(r"\n([^\n]*?)\n\s+in ", text)
    description = problem[1].strip() if problem else text.split("\n")[0]
    return f"{description}, line {place[1]}, column {place[2]}" if place else description


def _describe_options(names: Sequence[str], parser: ArgumentParser) -> str:
    """List options; a single one with its help."""
    actions = [find_action(name, parser) for name in names]
    options = []
    for name, action in zip(names, actions, strict=True):
        options.append(name if action is None else option_name(action))
    about = ""
    if len(actions) == 1 and actions[0] is not None:
        about = " ".join((actions[0].help or "").split()).rstrip(".")
    return ", ".join(options) + (f" ({about})" if about else "")


def _option(name: str, parser: ArgumentParser) -> str:
    """Format an option of argparse's message with all its names."""
    action = find_action(name.split("/")[-1].lstrip("-").split(" ")[0], parser)
    return option_name(action) if action is not None else name


def _visible_actions(parser: ArgumentParser) -> list[argparse.Action]:
    """Return the options of a parser and its subcommands that help shows."""
    return [action for action in all_actions(parser) if action.help is not argparse.SUPPRESS]
