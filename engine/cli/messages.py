"""jsonargparse's messages in one line: which option, which value, what is allowed."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Sequence
from inspect import isabstract
from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from engine.cli.help import kebab, option_name
from engine.cli.words import choices, did_you_mean, in_words, listed, type_text

MISMATCH = "Expected a |Not a valid subclass of|Does not implement protocol"

UNION = "Does not validate against any of the Union subtypes"

PARSER_KEY = r'Parser key "([^"]+)"(?: element \d+)?: ?(.*)'

UNKNOWN_SETTING = r"(?:Option '(?P<o>[^']+)' is not accepted|(?:Group|Subcommand) '(?P<g>[^']+)' does not accept option '(?P<s>[^']+)')"

LONGEST_VALUE = 60
"""Characters of a wrong value that are repeated in a message."""


def clean(message: str, parser: ArgumentParser, in_file: bool = False) -> str:
    """A parser's message for people.

    Args:
        message: What jsonargparse or argparse says.
        parser: The parser that says it; its options are offered for those that are not known.
        in_file: It is about a setting in a file, not about an option.
    """
    if unknown := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        return _unrecognized(unknown[1].split(), parser)
    if missing := re.match(r"the following arguments are required: (.*)", message):
        return f"missing: {_described(missing[1].split(', '), parser)}"
    if wrong := re.match(r"argument ([^:]+): (.*)", message, re.DOTALL):
        return f"{_option(wrong[1], parser)}: {_argparse(wrong[2])}"
    if damaged := re.match(r"Problems parsing config: (.*)", message, re.DOTALL):
        return f"not valid YAML: {_where(damaged[1])}"
    if message.startswith("Unexpected config: "):
        return "not a mapping of settings, such as 'batch_size: 8'"
    if key := re.match(UNKNOWN_SETTING, message):
        name = key["o"] or (f"{key['g']}.{key['s']}" if _is_group(key["g"], parser) else key["s"])
        return f"there is no setting '{name}'{did_you_mean(name, _settings(parser))}"
    if key := re.match(PARSER_KEY, message, re.DOTALL):
        action = _action(key[1], parser)
        name = key[1] if in_file else _option(key[1], parser)
        return f"{name}: {reason(key[2], getattr(action, '_typehint', None))}"
    return message


def clean_failure(error: Exception) -> str | None:
    """What went wrong while a config's classes were built, without jsonargparse's account of it; None if it is not from there."""
    text = str(error)
    from_there = text.startswith((UNION, "Parser key ", "Problem with given class_path"))
    return reason(text) if from_there else None


def reason(text: str, declared: Any = None) -> str:
    """What is wrong with a value, of jsonargparse's nested account of it.

    Args:
        text: That account, indented where it is nested.
        declared: The type of the option, where it is known.
    """
    text = textwrap.dedent(text.removeprefix("\n")).strip()
    if text.startswith(UNION):
        return _of_union(text, declared)
    if match := re.match(
        r"Expected a (?!tuple with|dot import)(.*?)\. Got value: (.*)", text, re.DOTALL
    ):
        return _not(match[2], match[1])
    if match := re.match(
        r"Expected a tuple with (\d+) elements\. Got value: (.*)", text, re.DOTALL
    ):
        return f"{_value(match[2])} is not {match[1]} values such as [a, b]"
    if match := re.match(PARSER_KEY, text, re.DOTALL):
        return f"{match[1]}: {reason(match[2])}"
    if match := re.match(r"Problem with given class_path '([^']+)':\n(.*)", text, re.DOTALL):
        return f"{match[1].rpartition('.')[2]}: {reason(match[2])}"
    if match := re.match(r"Option '([^']+)' is not accepted", text):
        return f"there is no setting '{match[1]}'"
    if match := re.match(r"Expected a dot import path string: (.*)", text, re.DOTALL):
        return _not_a_class(match[1], declared)
    if match := re.match(
        r"(?:Not a valid subclass of|Does not implement protocol) \w+\. Got value: (.*?)(?:\nSubclass|\Z)",
        text,
        re.DOTALL,
    ):
        return _not_a_class(match[1], declared)
    if match := re.match(
        r"Import path (\S+) does not (?:correspond to a subclass of|implement protocol) (\S+)", text
    ):
        return f"'{match[1]}' is no {match[2]}"
    if match := re.match(r"(.*) not among choices (.*)", text):
        allowed = re.findall(r"'([^']*)'", match[2])
        return (
            f"{match[1]} is not {listed(allowed)}{did_you_mean(match[1].strip(chr(39)), allowed)}"
        )
    if match := re.match(r"(?:File does not exist|Path is not a file): '(.*)'", text):
        return f"{os.path.relpath(match[1]) if Path(match[1]).is_relative_to(Path.cwd()) else match[1]}: no such file"
    return text


def _of_union(text: str, declared: Any) -> str:
    """The reason that tells most: one from inside a value of the right kind, else what kinds are allowed."""
    value = re.search(r"\nGiven value: (.*)\Z", text, re.DOTALL)
    block = re.search(r"\nErrors:\n(.*?)\nGiven value type: ", text, re.DOTALL)
    errors = [
        _dedented(item)
        for item in re.split(r"^ {2}- ", block[1] if block else "", flags=re.MULTILINE)
        if item
    ]
    telling = [item for item in errors if not re.match(MISMATCH, item)]
    if telling:
        return reason(max(telling, key=_depth), declared)
    kinds = [item.removeprefix("Expected a ") for item in errors if item.startswith("Expected a ")]
    if all(re.match("dot import|<class 'NoneType'>", kind) for kind in kinds):
        return _not_a_class(value[1] if value else "", declared)
    return _not(
        value[1] if value else "",
        " | ".join(kind for kind in kinds if not kind.startswith("dot import")),
    )


def _dedented(item: str) -> str:
    head, _, rest = item.strip("\n").partition("\n")
    return f"{head}\n{textwrap.dedent(rest)}" if rest else head


def _depth(item: str) -> int:
    """How far inside a value an error was met: those of the right class are met further in."""
    return item.count("Parser key") + item.count("Problem with given") + item.count(UNION)


def _not(value: str, kind: str) -> str:
    text = type_text(kind)
    return f"{_value(value)} is not {in_words(text)}{did_you_mean(value, choices(text))}"


def _not_a_class(value: str, declared: Any) -> str:
    names = sorted(class_names(declared))
    known = listed(names) if names else "the name of a class with its module"
    return f"{_value(value)} is not {known}{did_you_mean(value, names)}"


def class_names(declared: Any) -> set[str]:
    """Names of the classes, known so far, that a type stands for."""
    if isinstance(declared, type) and not get_args(declared):
        below: list[type] = type.__subclasses__(declared)
        inner = {name for kind in below for name in class_names(kind)}
        return (
            inner
            if isabstract(declared) or declared.__name__.startswith("_")
            else inner | {declared.__name__}
        )
    return {
        name for part in get_args(declared) if part is not type(None) for name in class_names(part)
    }


def _value(value: str) -> str:
    value = " ".join(value.split())
    return f"'{value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + '…'}'"


def _unrecognized(words: Sequence[str], parser: ArgumentParser) -> str:
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not options:
        return f"'{words[0]}' is one value too many" if words else "too many values"
    known = [
        kebab(option)
        for action in _shown(parser)
        for option in action.option_strings
        if option.startswith("--")
    ]
    return f"there is no option {kebab(options[0])}{did_you_mean(kebab(options[0]), known) or f'; {parser.prog} --help lists them'}"


def _argparse(text: str) -> str:
    if text.startswith("expected"):
        return "a value is missing"
    if match := re.match(r"ignored explicit argument (.*)", text):
        return f"takes no value, got {match[1]}"
    return text


def _where(text: str) -> str:
    place = re.search(r"line (\d+), column (\d+)", text)
    problem = re.search(r"\n([^\n]*?)\n\s+in ", text)
    words = problem[1].strip() if problem else text.split("\n")[0]
    return f"{words}, line {place[1]}, column {place[2]}" if place else words


def _described(names: Sequence[str], parser: ArgumentParser) -> str:
    """Options by name; one alone with what it is."""
    actions = [_action(name, parser) for name in names]
    words = [
        name if action is None else option_name(action)
        for name, action in zip(names, actions, strict=True)
    ]
    about = (
        " ".join((actions[0].help or "").split())
        if len(actions) == 1 and actions[0] is not None
        else ""
    )
    return ", ".join(words) + (f" ({about.rstrip('.')})" if about else "")


def _option(name: str, parser: ArgumentParser) -> str:
    action = _action(name.split("/")[-1].lstrip("-").split(" ")[0], parser)
    return option_name(action) if action is not None else name


def _action(name: str, parser: ArgumentParser) -> argparse.Action | None:
    """The option that a key stands for, or the key behind the name of a subcommand."""
    name = name.replace("-", "_")
    found = {action.dest: action for action in reversed(_every(parser))}
    return found.get(name) or found.get(name.partition(".")[2])


def _every(parser: ArgumentParser) -> list[argparse.Action]:
    """A parser's actions, and those of its subcommands by their full names."""
    found = list(parser._actions)
    subcommands = getattr(parser, "_subcommands_action", None)
    for inner in subcommands._name_parser_map.values() if subcommands is not None else []:
        found += _every(inner)
    return found


def _shown(parser: ArgumentParser) -> list[argparse.Action]:
    return [action for action in _every(parser) if action.help is not argparse.SUPPRESS]


def _settings(parser: ArgumentParser) -> list[str]:
    return [action.dest for action in _shown(parser)]


def _is_group(name: str, parser: ArgumentParser) -> bool:
    return any(action.dest.startswith(f"{name}.") for action in _every(parser))
