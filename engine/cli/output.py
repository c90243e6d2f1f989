"""What a verb says: results on stdout, notes and warnings on stderr, or one JSON document."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from engine.progress import hide_bars
from engine.records import to_json

if TYPE_CHECKING:
    from engine.job import Report


class Output:
    """Where a verb's results, notes and warnings go.

    Results go to stdout as text, or with ``--json`` into one document that is printed when the verb ends. Notes go to stderr,
    unless ``--quiet``; warnings and errors go to stderr always.

    Args:
        command: The room and the verb, such as ``rid protect``.
        json: Print one JSON document instead of text.
        quiet: No notes and no progress bars.
        requested: The settings of the command, plain values.
    """

    def __init__(
        self,
        command: str,
        json: bool = False,
        quiet: bool = False,
        requested: dict[str, Any] | None = None,
    ) -> None:
        self.command, self.json, self.quiet = command, json, False
        self.requested = requested or {}
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

    def tell(self, text: str) -> None:
        """Say what must not be lost, such as what was left out and why."""
        print(text, file=sys.stderr)

    def warning(self, text: str) -> None:
        """Say what the user should know about the results."""
        self.record.setdefault("warnings", []).append(text)
        print(f"warning: {text}", file=sys.stderr)

    def error(self, text: str) -> None:
        """Name what could not be done; the rest was."""
        self.record.setdefault("errors", []).append(text)
        print(f"error: {text}", file=sys.stderr)

    def report(self, report: Report, done: str) -> int:
        """Tell the outcome of a job, and return the exit code.

        Args:
            report: The outcome.
            done: What became of those that are done, such as ``protected in OUT/``.
        """
        for name, why in report.skipped.items():
            self.tell(f"skipped {name}: {why}")
        for error in report.failed.values():
            self.error(error)
        if report.stale:
            self.note(
                f"{len(report.stale)} results are of inputs that are not given any more, such as {report.stale[0]}"
            )
        self.record.update(report.counts(), skipped=report.skipped, failed=report.failed)
        if report.nothing_to_do:
            self.result(f"finished already, nothing to do: {len(report.rows)} {done}")
        elif report.rows:
            self.result(f"{len(report.rows)} {done}")
        return 1 if report.failed else 0

    def close(self, code: int) -> None:
        """Print the JSON document, if one was asked for."""
        if self.json:
            sys.stdout.write(
                to_json({"command": self.command, "exit_code": code} | plain(self.record))
            )


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses as objects, NumPy's numbers as numbers, keys as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {
            " - ".join(map(str, key)) if isinstance(key, tuple) else str(key): plain(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value.item() if getattr(value, "shape", None) == () else value
