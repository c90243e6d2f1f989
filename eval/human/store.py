"""Database of a human test: participants, questions and answers in SQLite."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from engine.files import name_bytes
from eval.human.pictures import Stimulus
from eval.human.queries import (
    ALL_ANSWERS,
    ALL_IMAGES,
    ALL_STIMULI,
    COUNT_ANSWERS,
    COUNT_PARTICIPANTS,
    COUNT_SHOWN,
    INSERT_IMAGE,
    NEXT_QUESTION,
    SAVE_ANSWER,
    SCHEMA,
    START_CLOCK,
)

Row = TypeVar("Row")

NO_ACCESS = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
"""SQLite's codes of a database that is not damaged, but cannot be read or written."""

TIMEOUT_S = 30
"""Longest wait for another connection's transaction."""

PRIMARY_CODE = 0xFF
"""Bits of SQLite's primary codes in its extended ones."""

REFERENCE = 0
"""Slot of the reference image; the images to judge are in slots 1 and 2."""


@dataclass(frozen=True)
class Question:
    """A participant's next question.

    Attributes:
        place: Number of the question, from 0.
        tokens: Tokens of the images to judge.
        reference: Token of the reference image, if there is one.
    """

    place: int
    tokens: list[str]
    reference: str | None


class Store:
    """Database of a study.

    Args:
        file: The SQLite file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a connection with one transaction; requests come in many threads.

        Raises:
            OSError: If it cannot be read or written, such as on a full disk.
            ValueError: If the file is not a study's database, or damaged.
        """
        try:
            with closing(sqlite3.connect(self.file, timeout=TIMEOUT_S)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("begin immediate")
                with connection:
                    yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # messages quote damaged bytes
            if getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE in NO_ACCESS:
                msg = f"{self.file}: {error}; check the disk's space and who may write the file"
                raise OSError(msg) from error
            msg = (
                f"{self.file}: not the database of a study, or damaged ({error}); "
                "restore a copy of it"
            )
            raise ValueError(msg) from error

    def create(self, stimuli: Sequence[Stimulus], references: Sequence[int | None]) -> None:
        """Create a database; the file appears when it is complete.

        Args:
            stimuli: The images to judge.
            references: Index of each image's reference image, or None.
        """
        partial = Store(self.file.with_name(self.file.name + ".partial"))
        partial.file.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial.file)) as connection:
            connection.executescript(SCHEMA)
        with partial.transaction() as connection:
            rows = []
            for index, (one, reference) in enumerate(zip(stimuli, references, strict=True)):
                names = [name_bytes(name) for name in (str(one.file), one.category, one.item)]
                rows.append((index, *names, one.label, reference))
            connection.executemany(INSERT_IMAGE, rows)
        partial.file.replace(self.file)

    def stimuli(self) -> list[Stimulus]:
        """Read the images to judge, by index."""
        with self.transaction() as connection:
            rows = connection.execute(ALL_STIMULI).fetchall()
        return self._parse(rows, _stimulus)

    def image_numbers(self) -> list[int]:
        """Numbers of all images, with those shown for comparison."""
        with self.transaction() as connection:
            rows = connection.execute(ALL_IMAGES).fetchall()
        return [int(row[0]) for row in rows]

    def begin(
        self,
        about: dict[str, str],
        most: int,
        questions: Callable[[int, dict[int, int]], list[list[int]]],
    ) -> str | None:
        """Add a participant with their questions.

        Args:
            about: The participant's answers about themselves.
            most: Largest number of participants.
            questions: Draws the questions from the participant's number and from the number of
                times that each image was shown.

        Returns:
            The token of the participant's page; None if the study is full.
        """
        token = secrets.token_urlsafe(24)
        with self.transaction() as connection:
            number = connection.execute("select count(*) from participants").fetchone()[0]
            if number >= most:
                return None
            counts = dict(connection.execute(COUNT_SHOWN).fetchall())
            references = dict(connection.execute("select id, reference from pictures").fetchall())
            connection.execute(
                "insert into participants values (?, ?, ?, ?)",
                (number, token, now(), json.dumps(about)),
            )
            # Each image of each question gets its own token.
            for place, images in enumerate(questions(number, counts)):
                connection.execute(
                    "insert into questions (participant, place) values (?, ?)", (number, place)
                )
                slots = dict(enumerate(images, start=1))
                if (reference := references[images[0]]) is not None:
                    slots[REFERENCE] = reference
                rows = []
                for slot, image in slots.items():
                    rows.append((secrets.token_urlsafe(24), number, place, slot, image))
                connection.executemany("insert into shown values (?, ?, ?, ?, ?)", rows)
        return token

    def progress(self, token: str) -> tuple[int, int] | None:
        """Count a participant's answers and questions; None for an unknown token."""
        with self.transaction() as connection:
            row = connection.execute(COUNT_ANSWERS, (token,)).fetchone()
        return (row[0], row[1]) if row[1] else None

    def question(self, token: str) -> Question | None:
        """Read a participant's next question, and start its clock.

        Returns:
            None if all are answered.
        """
        with self.transaction() as connection:
            row = connection.execute(NEXT_QUESTION, (token,)).fetchone()
            if row is None:
                return None
            key = (row["participant"], row["place"])
            connection.execute(START_CLOCK, (now(), *key))
            shown = connection.execute(
                "select slot, token from shown where participant = ? and place = ? order by slot",
                key,
            )
            tokens = dict(shown.fetchall())
        reference = tokens.pop(REFERENCE, None)
        return Question(row["place"], list(tokens.values()), reference)

    def answer(self, token: str, place: int, choice: str, reasons: Sequence[str]) -> None:
        """Save an answer; later answers to the same question are ignored.

        Args:
            token: Token of the participant's page.
            place: Number of the question, from 0.
            choice: The answer.
            reasons: The chosen reasons.
        """
        values = (choice, json.dumps(list(reasons)), now(), place, token)
        with self.transaction() as connection:
            connection.execute(SAVE_ANSWER, values)

    def image_index(self, token: str) -> int | None:
        """Look up a token's image; None for an unknown token."""
        with self.transaction() as connection:
            row = connection.execute(
                "select picture from shown where token = ?", (token,)
            ).fetchone()
        return None if row is None else int(row[0])

    def participation(self) -> dict[str, int]:
        """Count the people who began, and those who answered every question."""
        with self.transaction() as connection:
            row = connection.execute(COUNT_PARTICIPANTS).fetchone()
        return {name: int(row[name]) for name in ("began", "completed")}

    def answers(self) -> list[Answer]:
        """Read all answers, by participant and place."""
        with self.transaction() as connection:
            rows = connection.execute(ALL_ANSWERS).fetchall()
        return self._parse(rows, Answer.of)

    def _parse(self, rows: Sequence[sqlite3.Row], parse: Callable[[sqlite3.Row], Row]) -> list[Row]:
        """Parse rows of the database.

        Raises:
            ValueError: If a row is damaged; the message names the file.
        """
        try:
            return [parse(row) for row in rows]
        except (TypeError, ValueError) as error:
            msg = f"{self.file}: damaged row ({error}); restore a copy of it"
            raise ValueError(msg) from error


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        participant: Number of the participant, from 0.
        about: The participant's answers about themselves.
        place: Number of the question, from 0.
        pictures: Indices of the images, in the order shown.
        choice: The answer.
        reasons: The chosen reasons.
        seconds: Time from first sight to answer.
    """

    participant: int
    about: dict[str, str]
    place: int
    pictures: list[int]
    choice: str
    reasons: list[str]
    seconds: float

    @classmethod
    def of(cls, row: sqlite3.Row) -> Answer:
        """Parse a row of the database."""
        first_seen = datetime.fromisoformat(row["first_seen"])
        duration = datetime.fromisoformat(row["answered"]) - first_seen
        slots = json.loads(row["pictures"])
        return cls(
            participant=row["participant"],
            about=json.loads(row["about"]),
            place=row["place"],
            pictures=[image for _, image in sorted(slots)],
            choice=row["choice"],
            reasons=json.loads(row["reasons"]),
            seconds=duration.total_seconds(),
        )


def _stimulus(row: sqlite3.Row) -> Stimulus:
    """Parse a row of the images."""
    file, category, item = (decode_name(row[name]) for name in ("file", "category", "item"))
    return Stimulus(Path(file), row["label"], category, item)


def decode_name(content: bytes) -> str:
    """Decode a file name, which need not be valid UTF-8."""
    return str(content, "utf-8", "surrogateescape")


def now() -> str:
    """Current time, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
