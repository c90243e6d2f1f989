"""A small job for tests: text files in capital letters.

Run as ``python tests/engine/shout.py FOLDER OUT [--devices N] [--slow SECONDS]``.
"""

import argparse
import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.cli import run
from engine.devices import DeviceOptions
from engine.files import write_text
from engine.job import Job, JobOptions
from engine.run_job import run_job


@dataclass(frozen=True)
class TextFile:
    path: Path
    group: str = ""

    @property
    def name(self):
        return self.path.name

    @property
    def size(self):
        return self.path.stat().st_size

    @property
    def mtime_ns(self):
        return self.path.stat().st_mtime_ns

    def digest(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class Shout(Job):
    command = "shout"
    unit = "text"

    def __init__(self, output, slow=0.0):
        self.output = output
        self.slow = slow
        self.batches = []

    def prepare(self, source):
        text = source.path.read_text()
        if "damaged" in text:
            msg = f"{source.path}: damaged"
            raise ValueError(msg)
        return text

    def step(self, batch):
        self.batches.append((batch.number, [source.name for source in batch.inputs]))
        time.sleep(self.slow)
        if any("poison" in text for text in batch.prepared):
            msg = "poison"
            raise RuntimeError(msg)
        return [f"{text.upper()} {batch.number}" for text in batch.prepared]

    def finish(self, prepared, result):
        if "useless" in prepared:
            msg = "it would not change"
            raise ValueError(msg)
        if "bug" in prepared:
            return None + 1
        return result

    def write(self, source, finished):
        write_text(self.output / source.name, finished)
        return {"letters": len(finished)}

    def exists(self, source, row):
        return (self.output / source.name).is_file()


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--devices", default="auto", type=lambda text: text if text == "auto" else int(text)
    )
    parser.add_argument("--slow", type=float, default=0)
    settings = parser.parse_args(arguments)
    inputs = [TextFile(path) for path in sorted(settings.folder.iterdir())]
    options = JobOptions(DeviceOptions("cpu", settings.devices), batch_size=2)
    report = run_job(Shout(settings.output, settings.slow), inputs, settings.output, {}, options)
    if report is not None:
        print(report.counts(), report.nothing_to_do)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
