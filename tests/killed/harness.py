"""Kill commands at random moments, resume them, and compare with unbroken runs."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.killed.cases import Case
from tests.killed.left import Files
from tests.killed.world import World

ROOT = Path(__file__).parents[2]

PATIENCE = 600
"""Seconds after which a command hangs."""

TERMINATED = 143

ATTEMPTS = 4
"""How often a kill is tried that comes too late."""


class Server:
    """Starts commands in processes of their own; see :mod:`tests.killed.server`.

    Args:
        folder: Of what commands say.
        seed: Of the order of sets, which differs from process to process.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        # a process with threads must not be forked
        alone = {
            "OMP_NUM_THREADS": "1",
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
        }
        environment = os.environ | alone | {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": str(seed)}
        words = [sys.executable, str(Path(__file__).with_name("server.py"))]
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.log = folder / "log.txt"
        self.told = folder / "count.txt"

    def threads(self) -> int:
        """How many the process has, once it has imported everything."""
        return self._answer(PATIENCE)["threads"]

    def start(
        self, words: list[str], output: Path, last: int = 0, number: int = signal.SIGKILL
    ) -> int:
        """Start ``python -m WORDS``, to end at an operation on its output files.

        Returns the process id.
        """
        moments = {"folder": str(output), "last": last, "signal": number, "told": str(self.told)}
        self.told.unlink(missing_ok=True)
        asked = {"room": words[0], "arguments": words[1:], "log": str(self.log), "moments": moments}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer(PATIENCE)["process"]

    def ended(self, seconds: float) -> int | None:
        """Return the exit code, negative for a signal; None if the command is still running."""
        answer = self._answer(seconds)
        return None if answer is None else answer["code"]

    def last_words(self) -> str:
        """The end of what the command that ran last said, in one line."""
        return " ".join(self.log.read_text().split())[-800:]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _answer(self, seconds: float) -> dict | None:
        ready, _, _ = select.select([self.process.stdout], [], [], max(seconds, 0))
        return json.loads(self.process.stdout.readline()) if ready else None


@dataclass
class Unbroken:
    """Undisturbed run: outputs, exit code, times and operations.

    The times are the seconds until its claim, and from there to its last file.
    """

    files: Files
    code: int
    before: float
    seconds: float
    operations: int


@dataclass
class Tally:
    """Outcome of a case's kills: those during work, and those too late, which are repeated."""

    struck: int = 0
    missed: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Aim:
    """A kill: which signal, when, and whether that is counted in seconds or in operations on files.

    Attributes:
        number: Of the kill in its session.
        share: Of the work that is done by then, from 0 to 1.
    """

    number: int
    signal: signal.Signals
    by_files: bool
    share: float

    def __str__(self) -> str:
        kind = "its operations on files" if self.by_files else "the time of its work"
        return f"kill {self.number}, {self.signal.name} after {self.share:.3f} of {kind}"


def aims(count: int, cases: int, seed: int) -> list[list[Aim]]:
    """Alternate kills: at a moment, at an operation on files, and by SIGTERM."""
    rng = random.Random(seed)
    kinds = [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False)]
    made: list[list[Aim]] = [[] for _ in range(cases)]
    for number in range(count):
        made[number % cases].append(
            Aim(number, *kinds[(number % cases + number // cases) % 3], rng.random())
        )
    return made


class Range:
    """A place to run cases in.

    Args:
        world: Their inputs.
        folder: Of outputs; every run of a case has the same, as its name may be in what is written.
        unbroken: Starts the runs that nobody disturbs.
        broken: Starts the others.
    """

    def __init__(self, world: World, folder: Path, unbroken: Server, broken: Server) -> None:
        self.world = world
        self.folder = folder
        self.unbroken = unbroken
        self.broken = broken

    def whole(self, case: Case) -> Unbroken:
        """Run a case to its end."""
        output = self._emptied(case)
        words = case.command(self.world, str(output))
        self.unbroken.start(words, output)
        started = time.time()
        began = self._claimed(case, output, self.unbroken)
        code = self.unbroken.ended(PATIENCE)
        assert code in (0, 1), f"{case.name}: ended with {code}: {self.unbroken.last_words()}"
        return Unbroken(
            case.found(output),
            code,
            began - started,
            last_written(output) - began,
            int(self.unbroken.told.read_text()),
        )

    def kill(self, case: Case, whole: Unbroken, rounds: list[Aim], tally: Tally) -> None:
        """Kill a run and its resumed runs as often as requested, then compare its end.

        A kill that meets no work any more is made again in a run of its own.
        """
        output = self._emptied(case)
        left = 1.0
        for aim in rounds:
            for _ in range(ATTEMPTS):
                code, began = self._killed(case, whole, output, aim, left)
                if case.found(output) != whole.files:
                    break
                tally.missed += 1
                if left == 1:
                    whole.seconds = min(whole.seconds, last_written(output) - began)
                output = self._emptied(case)
                left = 1.0
            else:
                continue
            expected = -signal.SIGKILL if aim.signal == signal.SIGKILL else TERMINATED
            tally.struck += code == expected
            if code == whole.code:
                tally.faults.append(
                    f"{case.name}, {aim}: ended by itself: "
                    f"{'; '.join(compare(whole.files, case.found(output)))}"
                )
            elif code != expected:
                tally.faults.append(
                    f"{case.name}, {aim}: ended with {code}: {self.broken.last_words()}"
                )
            left *= 1 - aim.share
        told = f"{case.name}, {', '.join(map(str, rounds))}"
        words = case.command(self.world, str(output)) + case.again(output)
        self.broken.start(words, output)
        code = self.broken.ended(PATIENCE)
        if code != whole.code:
            tally.faults.append(
                f"{told}: the same command then ended with {code}: {self.broken.last_words()}"
            )
        elif differences := compare(whole.files, case.found(output)):
            tally.faults.append(f"{told}: {'; '.join(differences)}")

    def _killed(
        self, case: Case, whole: Unbroken, output: Path, aim: Aim, left: float
    ) -> tuple[int, float]:
        """Start the command and end it; returns its exit code, and when its work began."""
        words = case.command(self.world, str(output)) + case.again(output)
        last = 1 + int(aim.share * left * whole.operations) if aim.by_files else 0
        again = next(output.glob(case.claimed), None) is not None
        process = self.broken.start(words, output, last, aim.signal)
        began = time.time() + whole.before if again else self._claimed(case, output, self.broken)
        if aim.by_files:
            return self.broken.ended(PATIENCE), began
        code = self.broken.ended(began + aim.share * left * whole.seconds - time.time())
        if code is None:
            os.killpg(process, aim.signal)
            code = self.broken.ended(PATIENCE)
        return code, began

    def _claimed(self, case: Case, output: Path, server: Server) -> float:
        """Wait until work begins, or the command ends; returns when."""
        for _ in range(PATIENCE * 200):
            if (
                next(output.glob(case.claimed), None)
                or select.select([server.process.stdout], [], [], 0.005)[0]
            ):
                return time.time()
        msg = f"{case.name} does not begin: {server.last_words()}"
        raise AssertionError(msg)

    def _emptied(self, case: Case) -> Path:
        output = self.folder / case.name.replace(" ", "-")
        shutil.rmtree(output, ignore_errors=True)
        return output


def last_written(output: Path) -> float:
    """When the newest file below a folder was written."""
    return max(path.stat().st_mtime for path in output.rglob("*"))


def compare(whole: Files, broken: Files) -> list[str]:
    """What differs between the files of two runs."""
    found = [f"{name} is not there" for name in sorted(whole.keys() - broken.keys())]
    found += [f"{name} is left behind" for name in sorted(broken.keys() - whole.keys())]
    return found + [
        f"{name} differs"
        for name in sorted(whole.keys() & broken.keys())
        if whole[name] != broken[name]
    ]
