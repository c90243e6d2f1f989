"""What doors that are not Rooms yet use; goes when the last of them is one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from engine.cli.parser import Parser


def dispatch(about: str, verbs: Mapping[str, Callable[[list[str]], int]], arguments: list[str]) -> int:
    """Run the verb the arguments begin with; without a known one say what there is, which is 0 only if that was asked for."""
    if not arguments or arguments[0] not in verbs:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(about, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return verbs[arguments[0]](arguments[1:])


def parser(program: str, about: str) -> Parser:
    """A parser whose errors are raised, with ``-c/--config`` for a YAML file of the same settings."""
    made = Parser(prog=program, description=about, exit_on_error=False, allow_abbrev=False)
    made.outermost = True
    made.add_argument("-c", "--config", action="config", help="YAML file with any of the settings below")
    return made
