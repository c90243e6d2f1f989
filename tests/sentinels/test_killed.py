"""A planting job that is killed goes on, and pays for nothing twice."""

import base64
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine.cli import run
from sentinels.__main__ import main
from tests.sentinels.conftest import KEY

ROOT = Path(__file__).parents[2]


def killed_half_way(module, arguments, stub, answers, count):
    """Kill a command once a number of answers is on disk and others are pending."""
    stub.most = count
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(9000):
            kept = [path for path in answers.rglob("*") if path.suffix in (".json", ".bin")]
            if (len(kept) == count and len(stub.questions) > count) or process.poll() is not None:
                break
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        said = process.communicate()[0].decode()
    assert process.returncode == -signal.SIGKILL, said
    assert len(kept) == count
    stub.most = None
    return said


class Painter:
    """Draw the image shown before, and read the key requested last."""

    def __init__(self, stub):
        self.seen, self.keys = {}, {}
        stub.say, self.stub, self.otherwise = self.say, stub, stub.good
        stub.good = self.good

    def say(self, asked):
        text, picture = (part for part in asked["messages"][0]["content"])
        content = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
        image = Image.open(io.BytesIO(content)).convert("RGB")
        look = np.asarray(image.resize((8, 8), Image.Resampling.BOX), float)
        if "JSON object" in text["text"]:
            name = f"thing{int(look.sum() * 64)}"
            self.seen[name] = (image, look)
            return json.dumps({"subject": {"type": name}})
        nearest = min(self.seen, key=lambda name: np.abs(self.seen[name][1] - look).sum())
        return " ".join(self.keys[nearest])

    def good(self, handler, asked):
        if "prompt" in asked:
            name, key = (
                re.search(r"thing\d+", asked["prompt"])[0],
                re.search(r'letters "(\w+)"', asked["prompt"])[1],
            )
            self.keys[name] = key
            buffer = io.BytesIO()
            self.seen[name][0].save(buffer, format="PNG")
            self.stub.drawn = buffer.getvalue()
        self.otherwise(handler, asked)


def contents(folder):
    entries = json.loads((folder / "record.json").read_text())["processed_images"]
    for entry in entries.values():
        del entry["timestamp"]
    return entries, {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("images/*/*")
    }


def test_a_killed_planting_asks_for_no_answer_again_and_ends_as_an_unbroken_one(
    collection, stub, tmp_path, capsys
):
    Painter(stub)
    parts = [
        "--planter",
        "service",
        "--reader",
        "service",
        "--service.base_url",
        f"{stub.root}/v1",
        "--service.timeout",
        "500",
    ]
    # Without a seed keys are unpredictable.
    arguments = [str(collection), "--count", "4", *parts, "--concurrency", "2"]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    said = killed_half_way(
        "sentinels", ["plant", *arguments, "-o", str(broken)], stub, broken / "answers", 5
    )
    paid = list(stub.answered)
    assert len(paid) == 5
    assert not json.loads((broken / "manifest.json").read_text())["finished"]
    stub.questions.clear()
    assert run(main, ["plant", *arguments, "-o", str(broken)]) == 0
    assert len(stub.questions) == 4 * 3 - 5  # described, drawn and read
    assert not set(paid) & set(stub.questions)
    assert json.loads((broken / "manifest.json").read_text())["finished"]
    whole.mkdir()
    # A job that has drawn its seed, and nothing else yet.
    for name in ("sources.json", "manifest.json"):
        shutil.copy(broken / name, whole)
    assert run(main, ["plant", *arguments, "-o", str(whole)]) == 0
    assert contents(broken) == contents(whole)
    assert sorted(paid + stub.questions[:7]) == sorted(stub.questions[7:])
    told = said + "".join(capsys.readouterr())
    assert KEY not in told
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
