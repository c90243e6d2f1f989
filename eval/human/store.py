"""Participants, their questions and answers in one SQLite file."""

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

Made = TypeVar("Made")


SCHEMA = """
create table pictures (id integer primary key, file text, label text, category text, item text, reference integer);
create table participants (id integer primary key, token text unique, begun text, about text);
create table questions (participant integer references participants, place integer, first_seen text, choice text, reasons text,
  answered text, primary key (participant, place));
create table shown (token text primary key, participant integer references participants, place integer, slot integer,
  picture integer);
create index shown_of on shown (participant, place, slot);
"""
REFERENCE = 0
"""The slot of the picture beside those to be judged, which are in slots 1 and 2."""


@dataclass(frozen=True)
class Question:
    """A participant's next question: its place from 0 on, and the tokens its pictures are fetched by."""

    place: int
    tokens: list[str]
    reference: str | None


class Store:
    """The database of a study.

    Args:
        file: The SQLite file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept all together, or not at all; requests come in many threads."""
        try:
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("begin immediate")
                with connection:
                    yield connection
        except sqlite3.Error as error:
            msg = f"{self.file}: not the database of a study, or damaged ({error}); restore a copy of it"
            raise ValueError(msg) from error

    def create(self, stimuli: Sequence[Stimulus], references: Sequence[int | None]) -> None:
        """A new database with these pictures; the file appears when it is complete."""
        partial = Store(self.file.with_name(self.file.name + ".partial"))
        partial.file.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial.file)) as connection:
            connection.executescript(SCHEMA)
        with partial.transaction() as connection:
            rows = [
                (index, str(found.file), found.label, found.category, found.item, reference)
                for index, (found, reference) in enumerate(zip(stimuli, references, strict=True))
            ]
            connection.executemany("insert into pictures values (?, ?, ?, ?, ?, ?)", rows)
        partial.file.replace(self.file)

    def stimuli(self) -> list[Stimulus]:
        """The pictures, by index."""
        with self.transaction() as connection:
            rows = connection.execute(
                "select file, label, category, item from pictures order by id"
            ).fetchall()
        return self._made(
            rows,
            lambda row: Stimulus(Path(row["file"]), row["label"], row["category"], row["item"]),
        )

    def begin(
        self,
        about: dict[str, str],
        most: int,
        questions: Callable[[int, dict[int, int]], list[list[int]]],
    ) -> str | None:
        """Take a participant in and return the token of their page; None if there are as many as there may be.

        Args:
            about: What they said of themselves.
            most: Participants there may be.
            questions: Makes their questions from their number and from how often each picture was shown.
        """
        token = secrets.token_urlsafe(24)
        with self.transaction() as connection:
            number = connection.execute("select count(*) from participants").fetchone()[0]
            if number >= most:
                return None
            counts = dict(
                connection.execute(
                    "select picture, count(*) from shown where slot > 0 group by picture"
                ).fetchall()
            )
            references = dict(connection.execute("select id, reference from pictures").fetchall())
            connection.execute(
                "insert into participants values (?, ?, ?, ?)",
                (number, token, now(), json.dumps(about)),
            )
            for place, pictures in enumerate(questions(number, counts)):
                connection.execute(
                    "insert into questions (participant, place) values (?, ?)", (number, place)
                )
                slots = dict(enumerate(pictures, start=1))
                if (reference := references[pictures[0]]) is not None:
                    slots[REFERENCE] = reference
                rows = [
                    (secrets.token_urlsafe(24), number, place, slot, picture)
                    for slot, picture in slots.items()
                ]
                connection.executemany("insert into shown values (?, ?, ?, ?, ?)", rows)
        return token

    def progress(self, token: str) -> tuple[int, int] | None:
        """How many questions a participant has answered, and of how many; None if there is no such participant."""
        with self.transaction() as connection:
            row = connection.execute(
                "select count(choice), count(*) from questions join participants on id = participant where token = ?",
                (token,),
            ).fetchone()
        return (row[0], row[1]) if row[1] else None

    def question(self, token: str) -> Question | None:
        """A participant's first question without an answer; None if all are answered. Its time runs from now on."""
        with self.transaction() as connection:
            row = connection.execute(
                "select participant, place from questions join participants on id = participant "
                "where token = ? and choice is null order by place limit 1",
                (token,),
            ).fetchone()
            if row is None:
                return None
            key = (row["participant"], row["place"])
            connection.execute(
                "update questions set first_seen = coalesce(first_seen, ?) where participant = ? and place = ?",
                (now(), *key),
            )
            found = connection.execute(
                "select slot, token from shown where participant = ? and place = ? order by slot",
                key,
            )
            tokens = dict(found.fetchall())
        return Question(
            row["place"],
            [name for slot, name in tokens.items() if slot != REFERENCE],
            tokens.get(REFERENCE),
        )

    def answer(self, token: str, place: int, choice: str, reasons: Sequence[str]) -> None:
        """Keep an answer. The first one to a question counts; a page sent twice changes nothing."""
        with self.transaction() as connection:
            connection.execute(
                "update questions set choice = ?, reasons = ?, answered = ? where place = ? and choice is null and first_seen is not null "
                "and participant = (select id from participants where token = ?)",
                (choice, json.dumps(list(reasons)), now(), place, token),
            )

    def picture(self, token: str) -> int | None:
        """The picture behind a token; None if there is none."""
        with self.transaction() as connection:
            row = connection.execute(
                "select picture from shown where token = ?", (token,)
            ).fetchone()
        return None if row is None else int(row[0])

    def answers(self) -> list[Answer]:
        """Every answer, by participant and place."""
        with self.transaction() as connection:
            rows = connection.execute(
                "select q.participant, about, q.place, choice, reasons, first_seen, answered, "
                "json_group_array(json_array(slot, picture)) pictures "
                "from questions q join participants on participants.id = q.participant "
                "join shown s on s.participant = q.participant and s.place = q.place and slot > 0 "
                "where choice is not null group by q.participant, q.place order by q.participant, q.place"
            ).fetchall()
        return self._made(rows, Answer.of)

    def _made(self, rows: Sequence[sqlite3.Row], make: Callable[[sqlite3.Row], Made]) -> list[Made]:
        """What rows stand for.

        Raises:
            ValueError: If one holds what none should; the message names the file.
        """
        try:
            return [make(row) for row in rows]
        except (TypeError, ValueError) as error:
            msg = f"{self.file}: damaged, a row holds what none should ({error}); restore a copy of it"
            raise ValueError(msg) from error


@dataclass(frozen=True)
class Answer:
    """One answer; ``pictures`` are indices in the order they were shown in, ``seconds`` from first sight to answer."""

    participant: int
    about: dict[str, str]
    place: int
    pictures: list[int]
    choice: str
    reasons: list[str]
    seconds: float

    @classmethod
    def of(cls, row: sqlite3.Row) -> Answer:
        """From a row of the database."""
        taken = datetime.fromisoformat(row["answered"]) - datetime.fromisoformat(row["first_seen"])
        about, pictures, reasons = (
            json.loads(row[name]) for name in ("about", "pictures", "reasons")
        )
        shown = [picture for _, picture in sorted(pictures)]
        return cls(
            row["participant"],
            about,
            row["place"],
            shown,
            row["choice"],
            reasons,
            taken.total_seconds(),
        )


def now() -> str:
    """The time, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
