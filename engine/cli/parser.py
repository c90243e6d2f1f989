"""The parser of one verb: its options, and its help."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable
from typing import Any

from engine.cli.for_people import ForPeople
from engine.cli.help import help_text
from engine.cli.outline import parameters
from engine.cli.short_help import short_help
from engine.renaming import JOB_RENAMED, Moved, Renamed

CONFIG_HELP = (
    "YAML file with any of these settings; "
    "it can name code to run, so use only files from sources that you trust"
)


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
