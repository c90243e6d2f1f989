"""Parsers whose options may be written in kebab or snake case and whose messages are for people."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, get_args

from jsonargparse import ArgumentParser, Namespace

from engine.cli.help import help_text
from engine.cli.messages import clean, clean_failure
from engine.cli.net import UsageError
from engine.cli.outline import parameters
from engine.cli.words import in_words, type_text
from engine.files import naming_errors

OLD_SWITCHES = {"--resume"}
"""Switches that are no longer needed: every job goes on where it was by itself."""

OLD_SPELLINGS = {"--num-workers": "--workers"}
"""Options that were renamed, as people may still have them in scripts."""


UNREAD = ("Problems parsing config:", "Unexpected config:")
"""Beginnings of messages about a file that is no config."""

CONFIG = "YAML file with any of these settings; it may name code to run, so use it only if you trust where it is from"


class ForPeople(ArgumentParser):
    """A jsonargparse parser with both spellings of options and messages of one line.

    jsonargparse makes parsers of the same class for nested settings; only the outermost cleans messages, once.
    """

    outermost = False
    configs: Sequence[str] = ()
    in_file = False

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **how: Any) -> Namespace:  # type: ignore[override]
        if self.outermost and args is not None:
            args, self.configs = spelled(args, self), ()
        parsed = super().parse_args(args, *more, **how)
        if self.outermost and args is not None:
            self._refuse_nulls(self, parsed)
        return parsed

    def _refuse_nulls(self, parser: ArgumentParser, parsed: Namespace) -> None:
        """Refuse a setting that a config sets to null though it needs a value; jsonargparse lets every one be null."""
        for action in parser._actions:
            kind = getattr(action, "_typehint", None)
            unset = (
                action.default is None
                or action.default is argparse.SUPPRESS
                or kind is None
                or type(None) in get_args(kind)
            )
            if not unset and kind is not Any and parsed.get(action.dest, action.default) is None:
                where = f"{', '.join(self.files_read())}: " if self.files_read() else ""
                msg = f"{where}{action.dest}: null is not {in_words(type_text(str(kind)))}"
                raise UsageError(msg)
        subcommands = getattr(parser, "_subcommands_action", None)
        chosen = parsed.get("subcommand") if subcommands is not None else None
        if (
            subcommands is not None
            and isinstance(chosen, str)
            and chosen in subcommands._name_parser_map
        ):
            self._refuse_nulls(subcommands._name_parser_map[chosen], parsed[chosen])

    def parse_path(self, cfg_path: str | os.PathLike[str], *more: Any, **how: Any) -> Namespace:
        name = os.fspath(cfg_path)
        self.configs, self.in_file = (*self.configs, name), True
        try:
            with naming_errors(name):
                return super().parse_path(cfg_path, *more, **how)
        except (UsageError, UnicodeDecodeError) as error:
            msg = f"{name}: {'not a text file' if isinstance(error, UnicodeDecodeError) else error}"
            raise UsageError(msg) from error
        finally:
            self.in_file = False

    def instantiate(self, *given: Any, **how: Any) -> Namespace:
        try:
            return super().instantiate(*given, **how)
        except (TypeError, ValueError) as error:
            words = clean_failure(error) if self.outermost else None
            if words is None:
                raise
            raise UsageError(words) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.outermost:
            super().error(message, ex)
        if isinstance(ex, UsageError):
            raise ex
        words = clean(message, self, self.in_file)
        if (
            message.startswith(("Option ", "Group ", "Subcommand ")) and self.files_read()
        ):  # such settings can only stand in a file
            words = f"{', '.join(self.files_read())}: {words}"
        elif message.startswith(UNREAD) and self.files_read() and not self.in_file:
            words = f"{self.files_read()[-1]}: {words}"
        raise UsageError(words) from ex

    def files_read(self) -> list[str]:
        """The configs that were read so far."""
        subcommands = getattr(self, "_subcommands_action", None)
        inner = subcommands._name_parser_map.values() if subcommands is not None else []
        return [*self.configs, *(name for other in inner for name in other.files_read())]


class Parser(ForPeople):
    """The parser of one verb.

    Args:
        outline: Read heavy signatures from their source, for help only; nothing can be parsed then.
        example: A command line that works, without ``python -m``.
        settings: Those of jsonargparse.
    """

    def __init__(
        self, *args: Any, outline: bool = False, example: str = "", **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.outline, self.example = outline, example

    @classmethod
    def of_verb(cls, program: str, about: str, example: str = "", outline: bool = False) -> Parser:
        """A verb's parser, with what every verb has: ``-c``, ``--json``, ``--quiet``, ``--version``."""
        made = cls(
            prog=program,
            description=about,
            example=example,
            outline=outline,
            exit_on_error=False,
            allow_abbrev=False,
        )
        made.outermost = True
        made.add_argument("-c", "--config", action="config", help=CONFIG)
        made._option_string_actions["--print_config"].help = "print the settings as YAML and stop"
        made.add_argument(
            "--json", action="store_true", help="print one JSON document instead of text"
        )
        made.add_argument("--quiet", action="store_true", help="no notes, no progress bars")
        made.add_argument("--version", action="store_true", help="print versions and stop")
        return made

    def add_call(
        self,
        target: str,
        nested_key: str | None = None,
        skip: Iterable[str] = (),
        subclasses: bool = False,
    ) -> None:
        """Add the parameters of a function or class that is imported only when arguments are parsed.

        Args:
            target: ``module:name``.
            nested_key: Prefix of its options.
            skip: Parameters that are no options.
            subclasses: Take any subclass by ``class_path``.
        """
        if self.outline:
            self._outline(target, nested_key, set(skip), subclasses)
            return
        call = _imported(target)
        if subclasses:
            self.add_subclass_arguments(call, nested_key or target, skip=set(skip))
        elif isinstance(call, type):
            self.add_class_arguments(
                call, nested_key, as_group=nested_key is not None, skip=set(skip)
            )
        else:
            self.add_function_arguments(
                call, nested_key, as_group=nested_key is not None, skip=set(skip)
            )

    def add_lightning(
        self, task: str | None, data: str | None, linked: Iterable[str] = (), validate: bool = False
    ) -> None:
        """Add what a LightningCLI takes, for help alone.

        Args:
            task: ``module:Class`` of the LightningModule; None for any.
            data: The same of the LightningDataModule; None for any.
            linked: Parameters of the data module that the task's decide.
            validate: Its verb is ``validate``, not ``fit``.
        """
        self._add_outlined("seed_everything", "bool | int", "0", "seed of all random draws")
        self._add_outlined(
            "ckpt_path",
            "str | None",
            "None",
            "training checkpoint to go on from; last for the newest whole one",
        )
        self._add_outlined("weights_only", "bool | None", "None", "how Lightning reads that file")
        if validate:
            self._add_outlined("verbose", "bool", "True", "print the metrics")
        self.add_call("lightning.pytorch.trainer.trainer:Trainer", "trainer")
        self.add_call(task or "lightning:LightningModule", "model", subclasses=task is None)
        self.add_call(
            data or "lightning:LightningDataModule", "data", linked, subclasses=data is None
        )

    def _outline(
        self, target: str, nested_key: str | None, skip: set[str], subclasses: bool
    ) -> None:
        if subclasses:
            self._add_outlined(nested_key or target, "Any", None, "a class and its settings")
            return
        for item in parameters(target):
            if item.name.split(".")[0] not in skip:
                self._add_outlined(
                    f"{nested_key}.{item.name}" if nested_key else item.name,
                    item.type,
                    item.default,
                    item.about,
                )

    def _add_outlined(self, name: str, kind: str, default: str | None, about: str) -> None:
        action = argparse.ArgumentParser.add_argument(
            self, f"--{name}", help=about, required=default is None
        )
        action.default = default
        action.outlined = kind  # type: ignore[attr-defined]

    def format_help(self, *_: Any, **__: Any) -> str:
        return help_text(self, self.example)


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def spelled(arguments: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Command line words with every option as the parser has it, in whichever case and of whichever age it was written."""
    subcommands = getattr(parser, "_subcommands_action", None)
    inner = (
        subcommands._name_parser_map.get(arguments[0])
        if subcommands is not None and arguments
        else None
    )
    known = set((inner or parser)._option_string_actions)
    words: list[str] = []
    for place, word in enumerate(arguments):
        if word == "--":
            return words + list(arguments[place:])
        name, mark, value = word.partition("=")
        if name in OLD_SWITCHES - known:
            continue
        words.append(_known(name, known) + mark + value if name.startswith("--") else word)
    return words


def _known(name: str, known: set[str]) -> str:
    dashed, lined = "--" + name[2:].replace("_", "-"), "--" + name[2:].replace("-", "_")
    renamed = OLD_SPELLINGS.get(dashed)
    for spelling in (
        name,
        lined,
        dashed,
        *([renamed, "--" + renamed[2:].replace("-", "_")] if renamed else []),
    ):
        if spelling in known:
            return spelling
    return lined if "." in name else name
