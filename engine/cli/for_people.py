"""Parsing with kebab and snake case, former names and one-line messages."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from engine.cli.actions import needs_value, subparsers
from engine.cli.exit_codes import UsageError
from engine.cli.messages import clean, clean_failure
from engine.cli.option_types import describe, type_text
from engine.cli.spelling import normalize_options
from engine.files import naming_errors
from engine.renaming import Moved, Renamed, present_settings, refuse_moved

NO_CONFIG = ("Problems parsing config:", "Unexpected config:", "Spaces not allowed in keys")
"""Beginnings of jsonargparse's messages about a file that is no config."""

IN_CONFIG = ("Option ", "Group ", "Subcommand ")
"""Beginnings of jsonargparse's messages about an unknown setting in a config."""


MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning take."""


def refuse_seeds(settings: Any) -> None:
    """Refuse a command's seed that some library does not take.

    Raises:
        UsageError: If a ``seed`` or ``seed_everything`` is not from 0 to :data:`MAX_SEED`.
    """
    for name, value in vars(settings).items():
        last = name.rpartition(".")[2]
        is_seed = last in ("seed", "seed_everything")
        if is_seed and isinstance(value, int) and not 0 <= value <= MAX_SEED:
            option = "--" + (last if last == "seed_everything" else name).replace("_", "-")
            msg = f"{option}: {value} is not a seed; it is a whole number from 0 to {MAX_SEED}"
            raise UsageError(msg)


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
            refuse_seeds(parsed.as_flat())
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
