"""Packages and their verbs: ``python -m PACKAGE VERB``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.cli.exit_codes import UsageError, exit_status, one_line, run
from engine.cli.option_types import did_you_mean
from engine.cli.output import Output
from engine.renaming import Moved, Renamed

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from engine.cli.parser import Parser

Options = Callable[["Parser"], None]
Act = Callable[[Any, Output], "int | None"]

HELP = {"-h", "--help"}

HELP_ALL = {"--help-all", "--help_all"}


@dataclass(frozen=True)
class Verb:
    """One verb of a package.

    Attributes:
        about: One line for the package's overview and the top of the verb's help.
        example: A complete command line, without ``python -m``.
        options: Function that adds the options to a parser, without heavy imports.
        act: Function that runs the verb with the parsed settings; it returns the exit code, or
            None for 0.
        renamed: Present names of settings by former ones; see :mod:`engine.renaming`.
        moved: Present places of settings that are refused under their former names.
    """

    about: str
    example: str
    options: Options
    act: Act
    renamed: Renamed = field(default_factory=dict)
    moved: Moved = field(default_factory=dict)

    def parser(self, command: str, outline: bool = False) -> Parser:
        """Create the parser of the verb.

        Args:
            command: Package and verb.
            outline: Read heavy signatures from their source. The parser then shows help only.
        """
        from engine.cli.parser import Parser

        parser = Parser.of_verb(
            f"python -m {command}", self.about, self.example, outline, self.renamed, self.moved
        )
        self.options(parser)
        return parser

    def run(self, command: str, arguments: list[str]) -> int:
        """Parse the arguments, run the verb, and return the exit code."""
        as_json = "--json" in arguments
        output = Output(command, as_json)
        try:
            with redirect_stdout(sys.stderr if as_json else sys.stdout):
                code = self._act(self.parser(command), arguments, output)
        except BaseException as error:
            output.result(error=one_line(error))
            output.close(exit_status(error)[0])
            raise
        output.close(code)
        return code

    def _act(self, parser: Parser, arguments: list[str], output: Output) -> int:
        """Parse the arguments and run the verb with the settings."""
        parsed = parser.parse_args(arguments)
        output.requested = parsed.as_dict()
        if parsed.quiet:
            output.be_quiet()
        return self.act(without_common(parser.instantiate(parsed)), output) or 0


@dataclass(frozen=True)
class Training:
    """Verb that passes its arguments to a LightningCLI.

    Attributes:
        about: One line for the package's overview and the top of the verb's help.
        example: A complete command line, without ``python -m``.
        options: Function that adds the options of the LightningCLI to a parser, for the help.
        act: Function that runs the LightningCLI, from the verb with its arguments and ``--quiet``
            to the last logged metrics; None on every process but the first.
    """

    about: str
    example: str
    options: Options
    act: Callable[[list[str], bool], dict[str, float] | None]

    def parser(self, command: str, outline: bool = True) -> Parser:
        """Create a parser of the same options, for help only."""
        from engine.cli.parser import Parser

        parser = Parser.of_verb(f"python -m {command}", self.about, self.example, outline=True)
        self.options(parser)
        return parser

    def run(self, command: str, arguments: list[str]) -> int:
        """Train or validate, and return the exit code."""
        output = Output(command, "--json" in arguments, "--quiet" in arguments)
        verb = command.split()[-1]
        lightning_arguments = [word for word in arguments if word not in ("--json", "--quiet")]
        with redirect_stdout(sys.stderr if output.json else sys.stdout):
            metrics = self.act([verb, *lightning_arguments], output.quiet)
        if metrics is not None:
            output.result(metrics=metrics)
            output.close(0)
        return 0


@dataclass(frozen=True)
class Room:
    """Verbs of a package.

    Attributes:
        name: Name of the package, as in ``python -m NAME``.
        about: Purpose of the package, one line.
        verbs: The verbs, by name.
    """

    name: str
    about: str
    verbs: Mapping[str, Verb | Training]

    def main(self, arguments: Sequence[str]) -> int:
        """Run the verb in the first argument, and return the exit code.

        Raises:
            UsageError: If there is no such verb.
        """
        # options end at "--"
        first = arguments[0] if arguments else ""
        rest = list(arguments[1:])
        options = rest[: rest.index("--")] if "--" in rest else rest

        # versions, the package's help, and unknown verbs
        if first == "--version" or (first in self.verbs and "--version" in options):
            print(versions("--json" in arguments))
            return 0
        if first in ("", *HELP, *HELP_ALL):
            print(self.overview(), file=sys.stdout if first else sys.stderr)
            return 0 if first else 2
        if first not in self.verbs:
            kind = "option" if first.startswith("-") else "verb"
            all_verbs = f"; its verbs are {', '.join(self.verbs)}"
            hint = did_you_mean(first, list(self.verbs)) or all_verbs
            msg = f"python -m {self.name} has no {kind} '{first}'{hint}"
            raise UsageError(msg)

        # the verb's help, or the verb
        command = f"{self.name} {first}"
        everything = bool(HELP_ALL & set(options))
        if everything or HELP & set(options):
            parser = self.verbs[first].parser(command, outline=True)
            print(parser.format_help(everything=everything), end="")
            return 0
        return self.verbs[first].run(command, rest)

    def start(self) -> None:
        """Run the arguments of the process and exit; the entry point of console scripts."""
        sys.exit(run(self.main))

    def overview(self) -> str:
        """Return the help of the package: a list of its verbs."""
        width = max(map(len, self.verbs)) + 2
        verbs = [f"  {name:{width}}{verb.about}" for name, verb in self.verbs.items()]
        usage = f"usage: python -m {self.name} VERB ..."
        more = f"python -m {self.name} VERB --help shows the options of a verb."
        return "\n".join([usage, "", self.about, "", *verbs, "", more])


def versions(as_json: bool = False) -> str:
    """List the versions of this project, of Python and of the main libraries."""
    import platform
    from importlib.metadata import version

    from engine import __version__
    from engine.manifest import LIBRARIES
    from engine.records import to_json

    numbers = {"image-defence": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        numbers[name] = version(name)
    if as_json:
        return to_json(numbers).rstrip()
    return "\n".join(f"{name} {number}" for name, number in numbers.items())


def without_common(settings: Namespace) -> Namespace:
    """Remove the settings of the common options, such as ``--json``."""
    for name in ("config", "json", "quiet", "version"):
        settings.pop(name, None)
    return settings
