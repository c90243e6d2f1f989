"""Process with all imports that forks a child for every command; started by its path.

It reads a JSON object a line: the folder to work in, and either the words of a command or null, for
which it builds the world there.
It answers with one: how the child ended, what it said, and how much memory it took.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
import traceback
import types
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]

PATIENCE = int(os.environ.get("HOSTILE_PATIENCE", "120"))
"""Seconds after which a command hangs."""

ADDRESSES = 6 << 30
"""Address space in bytes that a command may take beyond that of this process."""

IMPORTS = (
    "datamodules.fake2m.datamodule",
    "detectors.cli",
    "detectors.scan",
    "diffusers",
    "eval.human.server",
    "eval.studies.matrix",
    "eval.studies.rag_robustness",
    "eval.studies.retrieval",
    "faiss",
    "indexing.extract",
    "peft",
    "pyarrow.parquet",
    "rid.pairs.job",
    "rid.protect.job",
    "rid.training.cli",
    "tests.hostile.world",
    "tiny.demo",
    "tiny.training",
    "torchmetrics",
)


def prepare() -> None:
    """Find this project's rooms and tests, and import what is slow to import."""
    sys.path.insert(0, str(ROOT))
    tests = types.ModuleType("tests")  # other projects install packages of this name
    tests.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = tests
    import torch

    torch.set_num_threads(1)
    for name in IMPORTS:
        import_module(name)


def answered(asked: dict) -> dict:
    """Run what was asked for in a child, and tell how it ended."""
    said = Path(asked["said"])
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _inside(asked, said)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    status, usage = _awaited(child)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    _end(child)
    return {
        "code": -killed if killed else os.WEXITSTATUS(status),
        "hung": killed == signal.SIGKILL,
        "kilobytes": usage.ru_maxrss,
        "seconds": usage.ru_utime + usage.ru_stime,
    }


def _inside(asked: dict, said: Path) -> int:
    os.setsid()
    for number in (1, 2):
        os.dup2(os.open(f"{said}.{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["folder"])
    if asked["words"] is None:
        import_module("tests.hostile.world").build()
        return 0
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESSES, taken + ADDRESSES))
    from engine.cli import run

    room, *words = asked["words"]
    sys.argv = [room, *words]
    code = run(import_module(f"{room}.__main__").main)
    import threading
    from multiprocessing.util import _exit_function

    threading._shutdown()  # as at the end of any program: what it waits for here, users wait for
    _exit_function()
    return code


def _awaited(child: int) -> tuple[int, resource.struct_rusage]:
    """Wait for a child, and kill it where it hangs."""
    end = time.monotonic() + PATIENCE
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage
        time.sleep(0.005)


def _end(child: int) -> None:
    """End what a child left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def main() -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    prepare()
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
