"""Verbs on damaged inputs: a correct end or one line with the file, and complete counts."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.damage import Damage, damage
from tests.hostile.verbs import CASES, Case

WARM = Path(__file__).with_name("warm.py")

MEMORY = 2 << 20
"""Kilobytes that a command on damaged files may take."""

LINES = 12
LENGTH = 2000
"""Lines of errors, and characters of one, that a person reads."""

NEVER = (
    "Traceback (most recent call last)",
    "fault in this program",
    "a fault of this program",
    "Fatal Python error",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it said, and what it took."""

    code: int
    out: str
    err: str
    hung: bool
    kilobytes: int
    seconds: float


class Warm:
    """The process that runs commands, in one folder, one after another.

    Args:
        root: A folder of the harness's.
    """

    def __init__(self, root: Path) -> None:
        self.place = root / "place"
        self.sound = root / "sound"
        self.said = root / "said"
        self.place.mkdir(parents=True)
        quiet = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(WARM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=quiet,
        )
        built = self.ask(None)
        assert built.code == 0, built.err
        self.place.rename(self.sound)

    def ask(self, words: list[str] | None) -> Ended:
        """Run a command in the place; build the world there for None."""
        asked = {"folder": str(self.place), "said": str(self.said), "words": words}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        out, err = (
            Path(f"{self.said}.{number}").read_bytes().decode("utf-8", "backslashreplace")
            for number in (1, 2)
        )
        return Ended(out=out, err=err, **found)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def lay_out(self, case: Case) -> None:
        """Put a case's sound inputs into the place, at the same paths each time."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        for name in (*case.parts, *case.needs):
            source = self.sound / name
            target = self.place / name
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)


def words_of(case: Case) -> list[str]:
    """The command's words."""
    return case.line.split()


def things(place: Path, part: str, images: int, alone: set[str]) -> int:
    """Count the entries of a part that are done, failed or skipped.

    ``alone`` are the inputs that failed or were skipped as a whole.
    """
    root = place / part
    count = 0
    for folder, folders, files in os.walk(root):
        for name in [
            *files,
            *(name for name in folders if os.path.islink(os.path.join(folder, name))),
        ]:
            inside = os.path.relpath(os.path.join(folder, name), root)
            count += (
                images
                if name.endswith(".tar") and not any(key.endswith(inside) for key in alone)
                else 1
            )
    return count


def manifest_of(place: Path) -> dict | None:
    """The record of the finished run."""
    for folder in ("out", "out.run"):
        for file in (
            sorted((place / folder).rglob("manifest.json")) if (place / folder).is_dir() else []
        ):
            record = json.loads(file.read_text())
            if "counts" in record and record.get("finished"):
                return record
    return None


def counted(case: Case, place: Path, ended: Ended, images: int) -> str:
    """What is wrong with the counts of a run; empty if nothing is."""
    if not case.counted or ended.code not in (0, 1):
        return ""
    record = manifest_of(place)
    if record is None:
        return "no counts are recorded"
    found = sum(record["counts"].values())
    if "failed" in record:
        failed = record["counts"]["failed"]
        if (ended.code == 0) != (failed == 0):
            return f"exit code {ended.code} with {failed} failed"
        for kind in ("failed", "skipped"):
            if untold := [
                name for name in record[kind] if printed(Path(name).name) not in printed(ended.err)
            ]:
                return f"{kind} and not told: {untold[0]!r}"
        alone = set(record["failed"]) | set(record["skipped"])
    else:
        alone = set()
    expected = sum(things(place, part, images, alone) for part in case.counted)
    return (
        ""
        if found == expected
        else f"silent loss: {found} of {expected} are counted, {record['counts']}"
    )


def printed(text: str) -> str:
    """A name as it may be printed: line breaks are spaces, and what is no text is escaped."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


def judged(case: Case, ended: Ended, hurt: Damage | None, place: Path) -> tuple[str, str]:
    """``right``, ``named`` or a fault, and its words."""
    text = ended.err + ended.out
    if ended.hung:
        return "hangs", ""
    if word := next((word for word in NEVER if word in text), None):
        return word, text[text.rindex(word) :][-1500:]
    if ended.code not in (0, 1, 2):
        return f"exit code {ended.code}", text[-800:]
    if ended.kilobytes > MEMORY:
        return f"{ended.kilobytes} kilobytes", text[-300:]
    if trouble := counted(
        case, place, ended, hurt.images if hurt and hurt.file.parts[0] in case.counted else 3
    ):
        return trouble, ended.err[-600:]
    if hurt and ended.code == 2 and is_one_of_many(hurt, case):
        return "one bad input ends the job", ended.err[-500:]
    if ended.code == 0 or (hurt is None and ended.code in case.code):
        return "right", ""
    if hurt is None:
        return f"sound inputs, exit code {ended.code}", text[-800:]
    errors = [line for line in ended.err.splitlines() if line.startswith("error:")]
    if len(errors) > LINES or any(len(line) > LENGTH for line in errors):
        return "too many words", "\n".join(errors)[:3000]
    if not any(names(line, hurt) for line in ended.err.splitlines()):
        return "a message without the file", f"{sorted(hurt.names)}: {ended.err[-500:]}"
    return "named", errors[-1] if errors else ""


def is_one_of_many(hurt: Damage, case: Case) -> bool:
    """Return True if the other inputs must be done all the same.

    Two images with the same result name are refused before anything is done.
    """
    return hurt.file.parts[0] in case.counted and len(hurt.file.parts) > 1 and hurt.kind != "twin"


def names(line: str, hurt: Damage) -> bool:
    """Whether a line names what was damaged."""
    line = printed(line)
    words = [printed(name) for name in hurt.names if name]
    return any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line) or (len(word) > 12 and word in line)
        for word in words
    )


def order(cases: int, seed: str) -> list[Case]:
    """Every case once, then by their shares."""
    rng = random.Random(f"{seed}/order")
    deck = [case for case in CASES for _ in range(case.share)]
    first = rng.sample(CASES, len(CASES))
    return (first + [rng.choice(deck) for _ in range(max(0, cases - len(first)))])[:cases]


def outcome(warm: Warm, case: Case, seed: str, earlier: dict[str, Path]) -> tuple[str, str]:
    """What came of a case, and its words."""
    rng = random.Random(seed)
    warm.lay_out(case)
    parts = list(case.parts)
    if case.goes_on and rng.random() < 0.15:
        if (done := finished(warm, case, earlier)) is None:
            return "sound inputs are refused", case.line
        shutil.copytree(done, warm.place / "out", symlinks=True)
        parts = ["out"]
    os.chdir(warm.place)
    hurt = damage(Path(rng.choice(parts)), rng)
    ended = warm.ask(words_of(case))
    kind, words = judged(case, ended, hurt, warm.place)
    return kind, f"{hurt.kind} of {str(hurt.file)!r}: {words}"


def finished(warm: Warm, case: Case, earlier: dict[str, Path]) -> Path | None:
    """The results of a run on sound inputs, made once."""
    if case.line not in earlier:
        ended = warm.ask(words_of(case))
        if ended.code not in case.code:
            return None
        earlier[case.line] = warm.sound.with_name(f"out-{len(earlier)}")
        shutil.move(warm.place / "out", earlier[case.line])
        for stray in ("out.run", "out.html"):
            assert not (warm.place / stray).exists(), stray
    return earlier[case.line]


def run(warm: Warm, cases: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Run cases; counts by verb, and a line for each fault: seed, verb and words."""
    counts: dict[str, Counter[str]] = {}
    faults = []
    earlier = {}
    here = Path.cwd()
    for number, case in enumerate(order(cases, str(seed))):
        name = f"{seed}/{number}/{case.name}"
        try:
            kind, words = outcome(warm, case, name, earlier)
        finally:
            os.chdir(here)
        counts.setdefault(case.name, Counter())[
            kind if kind in ("right", "named") else "fault"
        ] += 1
        if kind not in ("right", "named"):
            faults.append(f"{name}: {kind}: {words}")
    return counts, faults
