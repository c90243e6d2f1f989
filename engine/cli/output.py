"""What a verb says: results on stdout, notes and warnings on stderr, or one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from engine.progress import hide_bars
from engine.records import to_json


class Output:
    """Where a verb's results, notes and warnings go.

    Results go to stdout as text, or with ``--json`` into one document that is printed when the verb ends. Notes go to stderr,
    unless ``--quiet``; warnings and errors go to stderr always.

    Args:
        command: The room and the verb, such as ``rid protect``.
        json: Print one JSON document instead of text.
        quiet: No notes and no progress bars.
        asked: The settings as they were asked for, plain values.
    """

    def __init__(self, command: str, json: bool = False, quiet: bool = False, asked: dict[str, Any] | None = None) -> None:
        self.command, self.json, self.quiet = command, json, False
        self.asked = asked or {}
        self.record: dict[str, Any] = {}
        if quiet:
            self.be_quiet()

    def be_quiet(self) -> None:
        """Show no notes and no bars from now on."""
        self.quiet = True
        hide_bars()

    def result(self, text: str | None = None, **values: Any) -> None:
        """Give a result: text for people, and the same as plain values for ``--json``."""
        self.record.update(values)
        if text is not None and not self.json:
            print(text)

    def row(self, key: str, text: str, **values: Any) -> None:
        """Give one of several results of a kind, which make a list in the JSON document."""
        self.record.setdefault(key, []).append(values)
        if not self.json:
            print(text)

    def note(self, text: str) -> None:
        """Say something that is no result."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def warning(self, text: str) -> None:
        """Say what the user should know about the results."""
        self.record.setdefault("warnings", []).append(text)
        print(f"warning: {text}", file=sys.stderr)

    def error(self, text: str) -> None:
        """Name what could not be done; the rest was."""
        self.record.setdefault("errors", []).append(text)
        print(f"error: {text}", file=sys.stderr)

    def count(self, done: int, failed: Sequence[str] = (), skipped: Sequence[str] = ()) -> int:
        """Name what failed and what was passed over, and return the exit code.

        Args:
            done: How many inputs are done.
            failed: What is wrong with each of the others.
            skipped: Names of files that are no inputs.
        """
        for name in skipped:
            print(f"skipped {name}", file=sys.stderr)
        for error in failed:
            print(f"error: {error}", file=sys.stderr)
        self.record.update(done=done, failed=list(failed), skipped=list(skipped))
        return 1 if failed else 0

    def close(self, code: int) -> None:
        """Print the JSON document, if one was asked for."""
        if self.json:
            sys.stdout.write(to_json({"command": self.command, "exit_code": code} | self.record))
