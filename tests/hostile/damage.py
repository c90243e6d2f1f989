"""Damage to the files that a command reads: content, kind, name and existence."""

import io
import os
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tests.hostile.contents import PICTURES, foreign, tars
from tests.hostile.mutations import changed, mutated, mutated_json, odd

IMAGES = (".png", ".jpg", ".webp", ".tif", ".bmp")


@dataclass(frozen=True)
class Damage:
    """What was done.

    Attributes:
        kind: In a word or two.
        file: The damaged file, from the world's folder.
        names: Words, one of which a message about it has.
        images: How many images are in a tar file, where it is not refused as a whole.
    """

    kind: str
    file: Path
    names: frozenset[str]
    images: int = 3


Kind = Callable[[Path, random.Random], "set[str] | None"]
"""Function that damages a file, and returns more names that a message may have.

None if the damage does not apply to the file.
"""


def damage(part: Path, rng: random.Random) -> Damage:
    """Damage a part of the world, or a file in it."""
    files = sorted(path for path in part.rglob("*") if path.is_file()) if part.is_dir() else [part]
    whole = part.is_dir() and rng.random() < 0.05
    file = part if whole or not files else rng.choice(files)
    names = {
        file.name,
        *file.with_suffix("").parts[-1:],
        *part.parts,
        *file.relative_to(part.parent).parts,
    }
    kinds = PLACES if whole or not files else kinds_of(file)
    while True:
        kind = rng.choice(kinds)
        if (more := kind(file, rng)) is not None:
            known = tars().get(file.read_bytes(), 3) if kind is odd_tar else 3
            return Damage(kind.__name__, file, frozenset(names | more), known)


def kinds_of(file: Path) -> list[Kind]:
    """Kinds of damage for a file; those of its format as often as all others."""
    own: list[Kind] = FORMATS.get(file.suffix, [])
    return [*own * max(1, len(EVERY) // max(1, len(own))), *EVERY] if own else EVERY


def bytes_changed(file: Path, rng: random.Random) -> set[str]:
    file.write_bytes(mutated(file.read_bytes(), rng))
    return set()


def swapped(file: Path, rng: random.Random) -> set[str] | None:
    content = bytearray(file.read_bytes())
    # two bytes of a header that change places leave its sum as it was
    if len(content) < 8 or file.suffix == ".tar":
        return None
    one = rng.randrange(len(content))
    two = rng.randrange(len(content))
    content[one], content[two] = content[two], content[one]
    file.write_bytes(content)
    return set()


def cut(file: Path, rng: random.Random) -> set[str]:
    content = file.read_bytes()
    file.write_bytes(content[: rng.choice([0, 0, 1, len(content) // 2, max(0, len(content) - 1)])])
    return set()


def another_format(file: Path, rng: random.Random) -> set[str]:
    file.write_bytes(rng.choice(foreign())())
    return set()


def deleted(file: Path, rng: random.Random) -> set[str]:
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    return set()


def unreadable(file: Path, rng: random.Random) -> set[str]:
    if os.geteuid():
        file.chmod(0)
    else:  # root reads everything but this
        file.unlink()
        file.symlink_to("/proc/self/mem")
    return set()


def linked_elsewhere(file: Path, rng: random.Random) -> set[str]:
    away = Path("elsewhere").absolute()
    away.mkdir(exist_ok=True)
    shutil.move(file, away / file.name)
    file.symlink_to(
        rng.choice([away / file.name, "/etc/hostname", *["/dev/zero"] * (pipe_fits(file))])
    )
    return {"elsewhere"}


def looped(file: Path, rng: random.Random) -> set[str]:
    deleted(file, rng)
    file.symlink_to(rng.choice([file.name, "nowhere"]))
    return {"nowhere"}


def folder_instead(file: Path, rng: random.Random) -> set[str]:
    content = file.read_bytes() if file.is_file() else None
    deleted(file, rng)
    file.mkdir()
    if content is not None and rng.random() < 0.5:
        (file / file.name).write_bytes(content)
    return set()


def file_instead(file: Path, rng: random.Random) -> set[str]:
    deleted(file, rng)
    file.write_bytes(rng.randbytes(40))
    return set()


def pipe_fits(file: Path) -> bool:
    """Return True if a program finds the file itself; a named pipe or device is wanted."""
    return len(file.parts) > 1 and file.parts[0] not in ("configs", "released", "out", "checkpoint")


def pipe(file: Path, rng: random.Random) -> set[str] | None:
    if not pipe_fits(file):
        return None
    deleted(file, rng)
    os.mkfifo(file)
    return set()


def renamed(file: Path, rng: random.Random) -> set[str]:
    text = rng.choice(
        [
            "\x1b[31m",
            "\udcff\udcfe",
            "a\nb",
            "\u2028",
            "\x85",
            "x" * 240,
            "=1+1",
            "-o",
            "a b",
            "%s{0}",
            "ü",
            ".",
        ]
    )
    os.rename(os.fsencode(file), os.fsencode(file.with_name(text + file.suffix)))
    return {text.replace("\n", " ").strip() or "b"}


def json_values(file: Path, rng: random.Random) -> set[str] | None:
    named: set[str] = set()
    try:
        file.write_bytes(mutated_json(file.read_bytes(), rng, named))
    except ValueError:
        return None
    return named if file.name == "record.json" else set()  # findings are of its entries


def lines_values(file: Path, rng: random.Random) -> set[str] | None:
    lines = file.read_bytes().splitlines()
    if not lines:
        return None
    place = rng.randrange(len(lines))
    lines[place] = mutated_json(lines[place], rng)
    file.write_bytes(b"\n".join(lines) + b"\n")
    return set()


def yaml_values(file: Path, rng: random.Random) -> set[str]:
    """The message may name the setting, or its value, instead of the file."""
    settings = yaml.safe_load(file.read_text())
    while True:
        named: set[str] = set()
        other = changed(settings, rng, named)
        if (
            isinstance(other, dict)
            and other.get("trainer") == settings.get("trainer")
            and not asks_for_much(other)
        ):
            file.write_text(yaml.safe_dump(other))
            return named


def asks_for_much(value: object) -> bool:
    """Whether there is a number that may be meant, and would take long."""
    if isinstance(value, dict | list):
        return any(map(asks_for_much, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int | float) and value > 64


def lines_changed(file: Path, rng: random.Random) -> set[str]:
    """Of a list or a table: a line or a cell is another."""
    lines = file.read_bytes().split(b"\n")
    place = rng.randrange(len(lines))
    word = rng.choice(
        [
            b"",
            b"\x00",
            b"\xff\xfe",
            b"nowhere.png",
            b'"',
            b"1e999",
            b"nan",
            b"-1",
            b"x" * 5000,
            b"/etc/passwd",
            b"../list.txt",
        ]
    )
    cells = lines[place].split(b",")
    cells[rng.randrange(len(cells))] = word
    lines[place] = b",".join(cells)
    if rng.random() < 0.2:
        lines.insert(place, lines[place])
    file.write_bytes(b"\n".join(lines))
    return {word.decode("latin-1")} if len(word) > 3 else set()


def database_values(file: Path, rng: random.Random) -> set[str] | None:
    places = [
        ("pictures", "file label category item"),
        ("questions", "choice reasons answered"),
        ("participants", "about begun"),
    ]
    table, columns = rng.choice(places)
    value = odd(rng)
    with closing(sqlite3.connect(file)) as connection, connection:
        if rng.random() < 0.2:
            connection.execute(f"drop table {table}")
        else:
            text = (
                value
                if value is None or isinstance(value, float)
                else str(value).encode("utf-8", "surrogateescape")
            )
            connection.execute(f"update {table} set {rng.choice(columns.split())} = ?", (text,))
    return set()


def array_values(file: Path, rng: random.Random) -> set[str] | None:
    try:
        array = np.load(file)
    except Exception:
        return None
    if isinstance(array, np.lib.npyio.NpzFile):
        return None
    kind = rng.randrange(6)
    if kind == 0 and array.size:
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, 1e38])
    elif kind == 1:
        array = array.astype(rng.choice([np.float64, np.float16, np.int8, np.complex64]))
    elif kind == 2:
        array = array.reshape(-1) if rng.random() < 0.5 else array[None]
    elif kind == 3:
        array = array[: len(array) // 2]
    elif kind == 4:
        array = array[:0]
    if kind < 5:
        np.save(file, array)
    else:
        head = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, head)
        file.write_bytes(buffer.getvalue() + array.tobytes())
    return set()


def tensor_header(file: Path, rng: random.Random) -> set[str]:
    content = file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    head = mutated_json(content[8 : 8 + size], rng)
    file.write_bytes(
        struct.pack("<Q", rng.choice([len(head), len(head), len(head), 2**60]))
        + head
        + content[8 + size :]
    )
    return set()


def odd_picture(file: Path, rng: random.Random) -> set[str]:
    file.write_bytes(rng.choice(PICTURES)())
    return set()


def twin(file: Path, rng: random.Random) -> set[str]:
    """A second image, whose result would have the first one's name."""
    shutil.copy(file, file.with_suffix(rng.choice([".PNG", ".jpeg", ".bmp"])))
    return set()


def odd_tar(file: Path, rng: random.Random) -> set[str]:
    file.write_bytes(rng.choice(list(tars())))
    return set()


EVERY: list[Kind] = [
    bytes_changed,
    bytes_changed,
    bytes_changed,
    swapped,
    cut,
    cut,
    another_format,
    another_format,
    deleted,
    unreadable,
    linked_elsewhere,
    looped,
    folder_instead,
    pipe,
    renamed,
]

PLACES: list[Kind] = [deleted, looped, file_instead, pipe]
"""Damage to a folder as a whole."""

FORMATS: dict[str, list[Kind]] = {
    ".json": [json_values],
    ".jsonl": [lines_values],
    ".yaml": [yaml_values],
    ".csv": [lines_changed],
    ".txt": [lines_changed],
    ".sqlite": [database_values],
    ".npy": [array_values],
    ".safetensors": [tensor_header],
    ".tar": [odd_tar],
    **{ending: [odd_picture, odd_picture, twin] for ending in IMAGES},
}
