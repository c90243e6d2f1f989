"""Rooms and their verbs: which there are, how they are asked for, and what is said of those that there are not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.cli.net import UsageError, one_line, run, verdict
from engine.cli.output import Output
from engine.cli.words import did_you_mean

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from engine.cli.parser import Parser

Options = Callable[["Parser"], None]
Act = Callable[[Any, Output], "int | None"]


@dataclass(frozen=True)
class Verb:
    """One verb of a room.

    Attributes:
        about: One line, for the room's list and the top of its help.
        example: A command line that works, without ``python -m``.
        options: Adds its options to a parser; imports nothing heavy.
        act: Does it with the settings; returns the exit code, None for 0.
    """

    about: str
    example: str
    options: Options
    act: Act

    def parser(self, command: str, outline: bool = False) -> Parser:
        """Its parser; as an outline it is made without heavy imports, and only its help can be shown."""
        from engine.cli.parser import Parser

        made = Parser.of_verb(f"python -m {command}", self.about, self.example, outline)
        self.options(made)
        return made

    def run(self, command: str, arguments: list[str]) -> int:
        """Parse the arguments and do it."""
        as_json = "--json" in arguments
        output = Output(command, as_json)
        try:
            with redirect_stdout(sys.stderr if as_json else sys.stdout):
                code = self._act(self.parser(command), arguments, output)
        except BaseException as error:
            output.result(error=one_line(error))
            output.close(verdict(error)[0])
            raise
        output.close(code)
        return code

    def _act(self, parser: Parser, arguments: list[str], output: Output) -> int:
        parsed = parser.parse_args(arguments)
        output.requested = parsed.as_dict()
        if parsed.quiet:
            output.be_quiet()
        return self.act(without_common(parser.instantiate(parsed)), output) or 0


@dataclass(frozen=True)
class Training:
    """A verb that hands its arguments to a LightningCLI.

    Attributes:
        about: One line, for the room's list and the top of its help.
        example: A command line that works, without ``python -m``.
        options: Adds the options that its LightningCLI has, for the help.
        act: Runs the LightningCLI with the verb and its arguments, without bars if it is to be quiet. Returns the metrics that
            were logged last; None on every process but the first.
    """

    about: str
    example: str
    options: Options
    act: Callable[[list[str], bool], dict[str, float] | None]

    def parser(self, command: str, outline: bool = True) -> Parser:
        """A parser of the same options, for help alone."""
        from engine.cli.parser import Parser

        made = Parser.of_verb(f"python -m {command}", self.about, self.example, outline=True)
        self.options(made)
        return made

    def run(self, command: str, arguments: list[str]) -> int:
        """Train or validate."""
        output = Output(command, "--json" in arguments, "--quiet" in arguments)
        verb = command.split()[-1]
        with redirect_stdout(sys.stderr if output.json else sys.stdout):
            metrics = self.act(
                [verb, *(word for word in arguments if word not in ("--json", "--quiet"))],
                output.quiet,
            )
        if metrics is not None:
            output.result(metrics=metrics)
            output.close(0)
        return 0


@dataclass(frozen=True)
class Room:
    """The verbs of a room.

    Attributes:
        name: As in ``python -m NAME``.
        about: What the room is for, one line.
        verbs: By name.
    """

    name: str
    about: str
    verbs: Mapping[str, Verb | Training]

    def main(self, arguments: Sequence[str]) -> int:
        """Run the verb that the arguments begin with, and return the exit code.

        Raises:
            UsageError: If there is no such verb.
        """
        first, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
        options = rest[: rest.index("--")] if "--" in rest else rest
        if first == "--version" or (first in self.verbs and "--version" in options):
            print(versions("--json" in arguments))
            return 0
        if first in ("", "-h", "--help"):
            print(self.overview(), file=sys.stdout if first else sys.stderr)
            return 0 if first else 2
        if first not in self.verbs:
            what = "option" if first.startswith("-") else "verb"
            known = (
                did_you_mean(first, list(self.verbs)) or f"; its verbs are {', '.join(self.verbs)}"
            )
            msg = f"python -m {self.name} has no {what} '{first}'{known}"
            raise UsageError(msg)
        command = f"{self.name} {first}"
        if {"-h", "--help"} & set(options):
            print(self.verbs[first].parser(command, outline=True).format_help(), end="")
            return 0
        return self.verbs[first].run(command, rest)

    def start(self) -> None:
        """Run the process's own arguments and exit, as the console script of an editable install."""
        sys.exit(run(self.main))

    def overview(self) -> str:
        """What the room's own help says: every verb with what it does."""
        width = max(map(len, self.verbs)) + 2
        lines = [f"  {name:{width}}{verb.about}" for name, verb in self.verbs.items()]
        return "\n".join(
            [
                f"usage: python -m {self.name} VERB ...",
                "",
                self.about,
                "",
                *lines,
                "",
                f"python -m {self.name} VERB --help tells more.",
            ]
        )


def versions(as_json: bool = False) -> str:
    """Versions of this project, of Python and of the main libraries."""
    import platform
    from importlib.metadata import version

    from engine import __version__
    from engine.manifest import LIBRARIES
    from engine.records import to_json

    found = {"image-defence": __version__, "python": platform.python_version()} | {
        name: version(name) for name in LIBRARIES
    }
    return (
        to_json(found).rstrip()
        if as_json
        else "\n".join(f"{name} {number}" for name, number in found.items())
    )


def without_common(settings: Namespace) -> Namespace:
    """Settings without what every verb has."""
    for name in ("config", "json", "quiet", "version"):
        settings.pop(name, None)
    return settings
