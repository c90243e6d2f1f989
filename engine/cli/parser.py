"""Parsers that accept kebab and snake case and give one-line messages."""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from engine.cli.actions import needs_value, subparsers
from engine.cli.exit_codes import UsageError
from engine.cli.help import help_text
from engine.cli.messages import clean, clean_failure
from engine.cli.option_types import describe, type_text
from engine.cli.outline import parameters
from engine.cli.short_help import short_help
from engine.cli.spelling import normalize_options
from engine.files import naming_errors
from engine.renaming import JOB_RENAMED, Moved, Renamed, present_settings, refuse_moved

NO_CONFIG = ("Problems parsing config:", "Unexpected config:", "Spaces not allowed in keys")
"""Beginnings of jsonargparse's messages about a file that is no config."""

IN_CONFIG = ("Option ", "Group ", "Subcommand ")
"""Beginnings of jsonargparse's messages about an unknown setting in a config."""

CONFIG_HELP = (
    "YAML file with any of these settings; "
    "it can name code to run, so use only files from sources that you trust"
)


class ForPeople(ArgumentParser):
    """jsonargparse parser with both spellings of options and one-line messages.

    jsonargparse creates parsers of the same class for nested settings. Only the outermost one
    rewrites messages.

    Attributes:
        outermost: True for the parser of a command.
        configs: Config files that were read so far.
        given: The command line that is parsed.
        in_file: True while a config file is parsed.
        renamed: Present names of settings by former ones, which stay accepted.
        moved: Present places of settings that are refused under their former names.
    """

    outermost = False
    configs: Sequence[str] = ()
    given: Sequence[str] = ()
    in_file = False
    renamed: Renamed = MappingProxyType({})
    moved: Moved = MappingProxyType({})

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **how: Any) -> Namespace:  # type: ignore[override]
        if self.outermost and args is not None:
            args = normalize_options(args, self, self.renamed, self.moved)
            self.configs = ()
            self.given = args
        parsed = super().parse_args(args, *more, **how)
        if self.outermost and args is not None:
            self._refuse_nulls(self, parsed)
        return parsed

    def _apply_actions(self, cfg: Any, parent_key: str = "", *more: Any, **how: Any) -> Namespace:
        """Read settings of a config, under former names as well."""
        if isinstance(cfg, dict) and self.moved and not parent_key:
            for name in cfg:
                self._refuse_moved(name)
        if isinstance(cfg, dict) and self.renamed:
            cfg = self._present(cfg, parent_key)
        return super()._apply_actions(cfg, parent_key, *more, **how)

    def _refuse_moved(self, name: str) -> None:
        """Refuse a setting that stands elsewhere now."""
        try:
            refuse_moved(name, self.moved)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _present(self, settings: dict[str, Any], group: str) -> dict[str, Any]:
        """Replace former names of settings that stand in a group, or in none."""
        prefix = f"{group}." if group else ""
        renamed = {
            former.removeprefix(prefix): present.removeprefix(prefix)
            for former, present in self.renamed.items()
            if former.startswith(prefix) and present.startswith(prefix)
        }
        try:
            return present_settings(settings, renamed)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _refuse_nulls(self, parser: ArgumentParser, parsed: Namespace) -> None:
        """Refuse null for a setting that needs a value; jsonargparse accepts it anywhere."""
        for action in parser._actions:
            if needs_value(action) and parsed.get(action.dest, action.default) is None:
                kind = getattr(action, "_typehint", None)
                files = self.files_read()
                where = f"{', '.join(files)}: " if files else ""
                msg = f"{where}{action.dest}: null is not {describe(type_text(str(kind)))}"
                raise UsageError(msg)

        # the chosen subcommand of a LightningCLI
        inner = subparsers(parser)
        chosen = parsed.get("subcommand") if inner else None
        if isinstance(chosen, str) and chosen in inner:
            self._refuse_nulls(inner[chosen], parsed[chosen])

    def parse_path(self, cfg_path: str | os.PathLike[str], *more: Any, **how: Any) -> Namespace:
        name = os.fspath(cfg_path)
        self.configs = (*self.configs, name)
        self.in_file = True
        try:
            with naming_errors(name):
                return super().parse_path(cfg_path, *more, **how)
        except (UsageError, UnicodeDecodeError) as error:
            reason = "not a text file" if isinstance(error, UnicodeDecodeError) else error
            msg = f"{name}: {reason}"
            raise UsageError(msg) from error
        finally:
            self.in_file = False

    def instantiate(self, *given: Any, **how: Any) -> Namespace:
        try:
            return super().instantiate(*given, **how)
        except (TypeError, ValueError) as error:
            message = clean_failure(error) if self.outermost else None
            if message is None:
                raise
            raise UsageError(message) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.outermost:
            super().error(message, ex)
        if isinstance(ex, UsageError):
            raise ex
        cleaned = clean(message, self, self.in_file)
        files = self.files_read()
        if files and (message.startswith(IN_CONFIG) or self._concerns_config(cleaned)):
            cleaned = f"{', '.join(files)}: {cleaned}"
        elif message.startswith(NO_CONFIG) and files and not self.in_file:
            cleaned = f"{files[-1]}: {cleaned}"
        raise UsageError(cleaned) from ex

    def _concerns_config(self, cleaned: str) -> bool:
        """Return True if a message is about a missing option or one that a config has set."""
        if cleaned.startswith("missing: "):  # its name may be misspelled in the config
            return True
        option = re.match(r"--[\w.-]+", cleaned)
        if option is None or self.in_file:
            return False
        return not any(word.replace("_", "-").startswith(option[0]) for word in self.given)

    def files_read(self) -> list[str]:
        """Return the config files that were read so far, also those of subcommands."""
        files = list(self.configs)
        for subparser in subparsers(self).values():
            files += subparser.files_read()
        return files


class Parser(ForPeople):
    """Parser of one verb.

    Args:
        args: Arguments of jsonargparse's parser.
        outline: Read heavy signatures from their source. The parser then shows help only.
        example: A complete command line, without ``python -m``.
        settings: More arguments of jsonargparse's parser.
    """

    def __init__(
        self, *args: Any, outline: bool = False, example: str = "", **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.outline = outline
        self.example = example

    @classmethod
    def of_verb(
        cls,
        program: str,
        about: str,
        example: str = "",
        outline: bool = False,
        renamed: Renamed | None = None,
        moved: Moved | None = None,
    ) -> Parser:
        """Create the parser of a verb with the common options.

        Args:
            program: The command, such as ``python -m rid protect``.
            about: First line of the help.
            example: A complete command line, without ``python -m``.
            outline: See :class:`Parser`.
            renamed: Present names of settings by former ones.
            moved: Present places of settings that are refused under their former names.
        """
        parser = cls(
            prog=program,
            description=about,
            example=example,
            outline=outline,
            exit_on_error=False,
            allow_abbrev=False,
        )
        parser.outermost = True
        parser.renamed = {**JOB_RENAMED, **(renamed or {})}
        parser.moved = moved or {}
        parser.add_argument("-c", "--config", action="config", help=CONFIG_HELP)
        parser._option_string_actions["--print_config"].help = "print the settings as YAML and stop"
        parser.add_argument(
            "--json", action="store_true", help="print one JSON document instead of text"
        )
        parser.add_argument("--quiet", action="store_true", help="no notes, no progress bars")
        parser.add_argument("--help-all", action="help", help="show every option and exit")
        parser.add_argument("--version", action="store_true", help="print versions and stop")
        return parser

    def add_call(
        self,
        target: str,
        nested_key: str | None = None,
        skip: Iterable[str] = (),
        subclasses: bool = False,
    ) -> None:
        """Add the parameters of a function or class as options.

        The function or class is imported only when arguments are parsed.

        Args:
            target: ``module:name``.
            nested_key: Prefix of the options.
            skip: Parameters that do not become options.
            subclasses: Accept any subclass by ``class_path``.
        """
        if self.outline:
            self._outline(target, nested_key, set(skip), subclasses)
            return
        call = _import(target)
        grouped = nested_key is not None
        if subclasses:
            self.add_subclass_arguments(call, nested_key or target, skip=set(skip))
        elif isinstance(call, type):
            self.add_class_arguments(call, nested_key, as_group=grouped, skip=set(skip))
        else:
            self.add_function_arguments(call, nested_key, as_group=grouped, skip=set(skip))

    def add_lightning(
        self, task: str | None, data: str | None, linked: Iterable[str] = (), validate: bool = False
    ) -> None:
        """Add the options of a LightningCLI, for help only.

        Args:
            task: ``module:Class`` of the LightningModule; None for any.
            data: ``module:Class`` of the LightningDataModule; None for any.
            linked: Parameters of the data module that follow from the task's.
            validate: The verb is ``validate``, not ``fit``.
        """
        checkpoint = "training checkpoint to resume from; last for the newest complete one"
        self._add_outlined("seed_everything", "bool | int", "0", "seed of all random draws")
        self._add_outlined("ckpt_path", "str | None", "None", checkpoint)
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
        """Add the parameters of a function or class from its source code."""
        if subclasses:
            self._add_outlined(nested_key or target, "Any", None, "a class and its settings")
            return
        for item in parameters(target):
            if item.name.split(".")[0] not in skip:
                name = f"{nested_key}.{item.name}" if nested_key else item.name
                self._add_outlined(name, item.type, item.default, item.about)

    def _add_outlined(self, name: str, kind: str, default: str | None, about: str) -> None:
        """Add an option for help only, with the source text of its type and default."""
        action = argparse.ArgumentParser.add_argument(
            self, f"--{name}", help=about, required=default is None
        )
        action.default = default
        action.outlined = kind  # type: ignore[attr-defined]

    def format_help(self, *_: Any, everything: bool = False, **__: Any) -> str:
        """Format the short help, or the full one."""
        page = help_text if everything else short_help
        return page(self, self.example)


def _import(target: str) -> Any:
    """Import ``module:name``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
