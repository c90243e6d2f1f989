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

from eval.human.pictures import Stimulus

Row = TypeVar("Row")

SCHEMA = """
create table pictures (
  id integer primary key, file text, label text, category text, item text, reference integer);
create table participants (id integer primary key, token text unique, begun text, about text);
create table questions (
  participant integer references participants, place integer, first_seen text, choice text,
  reasons text, answered text, primary key (participant, place));
create table shown (
  token text primary key, participant integer references participants, place integer,
  slot integer, picture integer);
create index shown_of on shown (participant, place, slot);
"""
COUNT_SHOWN = "select picture, count(*) from shown where slot > 0 group by picture"

COUNT_ANSWERS = (
    "select count(choice), count(*) from questions join participants on id = participant "
    "where token = ?"
)

NEXT_QUESTION = (
    "select participant, place from questions join participants on id = participant "
    "where token = ? and choice is null order by place limit 1"
)

START_CLOCK = (
    "update questions set first_seen = coalesce(first_seen, ?) where participant = ? and place = ?"
)

SAVE_ANSWER = (
    "update questions set choice = ?, reasons = ?, answered = ? "
    "where place = ? and choice is null and first_seen is not null "
    "and participant = (select id from participants where token = ?)"
)

ALL_ANSWERS = (
    "select q.participant, about, q.place, choice, reasons, first_seen, answered, "
    "json_group_array(json_array(slot, picture)) pictures "
    "from questions q join participants on participants.id = q.participant "
    "join shown s on s.participant = q.participant and s.place = q.place and slot > 0 "
    "where choice is not null group by q.participant, q.place order by q.participant, q.place"
)

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
            ValueError: If the file is not a study's database, or damaged.
        """
        try:
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("begin immediate")
                with connection:
                    yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # messages quote damaged bytes
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
                rows.append((index, str(one.file), one.label, one.category, one.item, reference))
            connection.executemany("insert into pictures values (?, ?, ?, ?, ?, ?)", rows)
        partial.file.replace(self.file)

    def stimuli(self) -> list[Stimulus]:
        """Read the images to judge, by index."""
        with self.transaction() as connection:
            rows = connection.execute(
                "select file, label, category, item from pictures order by id"
            ).fetchall()
        return self._parse(rows, _stimulus)

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
    return Stimulus(Path(row["file"]), row["label"], row["category"], row["item"])


def now() -> str:
    """Current time, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
