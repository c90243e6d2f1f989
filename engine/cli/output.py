"""Output of a verb: results on stdout, notes on stderr, or one JSON document."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from engine.cli.noise import hide_notes
from engine.progress import hide_bars
from engine.records import to_json

if TYPE_CHECKING:
    from engine.job import Report


def printable(text: str) -> str:
    """Escape what stdout cannot encode, such as file names that are not valid UTF-8."""
    if sys.stdout.errors != "strict":
        return text
    encoding = sys.stdout.encoding
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Output:
    """Output of a verb: results, notes, warnings and errors.

    Results go to stdout as text. With ``--json`` they go into one document, which is printed when
    the verb ends. Notes go to stderr, unless ``--quiet``; warnings and errors always do.

    Args:
        command: Package and verb, such as ``rid protect``.
        json: Print one JSON document instead of text.
        quiet: Print no notes and show no progress bars.
        requested: The parsed settings of the command, plain values.
    """

    def __init__(
        self,
        command: str,
        json: bool = False,
        quiet: bool = False,
        requested: dict[str, Any] | None = None,
    ) -> None:
        self.command = command
        self.json = json
        self.quiet = False
        self.requested = requested or {}
        self.record: dict[str, Any] = {}
        if quiet:
            self.be_quiet()

    def be_quiet(self) -> None:
        """Hide notes and progress bars from now on."""
        self.quiet = True
        hide_bars()
        hide_notes()

    def result(self, text: str | None = None, **values: Any) -> None:
        """Print a result.

        Args:
            text: Text for people; None prints nothing.
            values: The same as plain values, for ``--json``.
        """
        self.record.update(values)
        if text is not None and not self.json:
            print(printable(text))

    def row(self, key: str, text: str, **values: Any) -> None:
        """Print one of several results of a kind.

        Args:
            key: Name of their list in the JSON document.
            text: Text for people.
            values: The same as plain values, for ``--json``.
        """
        self.record.setdefault(key, []).append(values)
        if not self.json:
            print(printable(text))

    def note(self, text: str) -> None:
        """Print a note, unless ``--quiet``."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def tell(self, text: str) -> None:
        """Print a message that ``--quiet`` keeps, such as a skipped file with the reason."""
        print(text, file=sys.stderr)

    def warning(self, text: str) -> None:
        """Print a warning about the results."""
        self.record.setdefault("warnings", []).append(text)
        print(f"warning: {text}", file=sys.stderr)

    def error(self, text: str) -> None:
        """Print the error of one input, after which the verb continues."""
        self.record.setdefault("errors", []).append(text)
        print(f"error: {text}", file=sys.stderr)

    def report(self, report: Report, done: str) -> int:
        """Print the outcome of a job, and return the exit code.

        Args:
            report: The outcome.
            done: Text after the number of finished inputs, such as ``protected in OUT/``.

        Returns:
            1 if an input failed, else 0.
        """
        for name, reason in report.skipped.items():
            self.tell(f"skipped {name}: {reason}")
        for error in report.failed.values():
            self.error(error)
        if report.stale:
            self.note(report.stale_words)
        self.record.update(report.counts(), skipped=report.skipped, failed=report.failed)
        if report.nothing_to_do:
            self.result(f"finished already, nothing to do: {len(report.rows)} {done}")
        elif report.rows:
            self.result(f"{len(report.rows)} {done}")
        return 1 if report.failed else 0

    def close(self, code: int) -> None:
        """Print the JSON document, with ``--json``."""
        if self.json:
            document = {"command": self.command, "exit_code": code} | plain(self.record)
            sys.stdout.write(to_json(document))


def plain(value: Any) -> Any:
    """Convert a value for JSON: dataclasses to objects, NumPy scalars to numbers, keys to text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {_key_text(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value.item() if getattr(value, "shape", None) == () else value


def _key_text(key: Any) -> str:
    """Convert a dictionary key to text; the parts of a tuple are joined by dashes."""
    return " - ".join(map(str, key)) if isinstance(key, tuple) else str(key)
