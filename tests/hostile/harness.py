"""Damages sound files and reads them: each case ends right, or as one line that names the file."""

import random
import signal
import traceback
import warnings
from collections import Counter
from pathlib import Path

from engine.cli import one_line
from tests.hostile.readers import Reader

PATIENCE = 30
"""Seconds after which a case hangs."""


class Hangs(BaseException):
    """A case took too long."""


def _hang(*_: object) -> None:
    raise Hangs


def outcome(reader: Reader, folder: Path, seed: str) -> tuple[str, str]:
    """What came of a case: ``read``, ``refused`` or a fault, and its words."""
    rng = random.Random(seed)
    path = folder / reader.file
    path.write_bytes(reader.mutate(reader.content, rng))
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(PATIENCE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(path)
    except (ValueError, OSError) as error:
        words = one_line(error)
        named = reader.file in words or str(folder) in words
        return ("refused", words) if named else ("a message without the file", words)
    except Hangs:
        return "hangs", ""
    except BaseException as error:
        return f"{type(error).__name__}", "".join(traceback.format_exception(error)[-3:])
    finally:
        signal.alarm(0)
    return "read", ""


def run(
    readers: list[Reader], folder: Path, cases: int, seed: int
) -> tuple[dict[str, Counter[str]], list[str]]:
    """Run cases, evenly over readers.

    Returns:
        Counts by reader, and a line for each fault: reader, seed and words.
    """
    counts: dict[str, Counter[str]] = {reader.name: Counter() for reader in readers}
    faults = []
    for number in range(cases):
        reader = readers[number % len(readers)]
        case = f"{seed}/{reader.name}/{number}"
        kind, words = outcome(reader, folder, case)
        counts[reader.name][kind] += 1
        if kind not in ("read", "refused"):
            faults.append(f"{case}: {kind}: {words}")
    return counts, faults
