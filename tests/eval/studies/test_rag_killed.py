"""An attack on a hosted system that is killed goes on, and pays for nothing twice."""

import hashlib
import json

import torch

from engine.cli import run
from eval.__main__ import main
from models.image_text_net import ImageTextNet
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from tests.sentinels.conftest import KEY, picture_bytes
from tests.sentinels.test_killed import killed_half_way


def contents(folder):
    entries = json.loads((folder / "protected" / "out.json").read_text())
    for entry in entries.values():
        for trial in entry["trials"]:
            del trial["timestamp"]
    pictures = {
        path.name: path.read_bytes() for path in (folder / "protected" / "images").iterdir()
    }
    return entries, pictures, json.loads((folder / "decision" / "decision.json").read_text())


def test_a_killed_attack_asks_for_no_answer_again_and_ends_as_an_unbroken_one(
    collection, stub, tmp_path, capsys
):
    torch.manual_seed(0)
    reads, broken, whole = tmp_path / "reads", tmp_path / "broken", tmp_path / "whole"
    ImageTextNet(
        ["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=1.0
    ).save_pretrained(reads)
    plant(collection, tmp_path / "s", LocalPlanter(), PlantConfig(count=3, seed=3), None)
    good = stub.good

    def answers(handler, asked):
        if "/images/" in handler.path:
            question = json.dumps(asked).encode() if "prompt" in asked else b"edit"
            stub.drawn = picture_bytes(tuple(hashlib.sha256(question).digest()[:3]))
        good(handler, asked)

    stub.good = answers
    arguments = [
        "rag",
        "--record",
        str(tmp_path / "s" / "record.json"),
        "--database.originals",
        str(collection),
    ]
    arguments += [
        "--database.embedder",
        str(reads),
        "--database.accelerator",
        "cpu",
        "--arms",
        "[protected]",
    ]
    arguments += [
        "--generator",
        "ServiceGenerator",
        "--judge",
        "ServiceJudge",
        "--decide.similarity",
        str(reads),
    ]
    arguments += [
        "--service.base_url",
        f"{stub.root}/v1",
        "--service.concurrency",
        "2",
        "--service.timeout",
        "500",
    ]
    said = killed_half_way("eval", [*arguments, "-o", str(broken)], stub, broken / "answers", 7)
    paid = list(stub.answered)
    assert len(paid) == 7
    assert not json.loads((broken / "manifest.json").read_text())["finished"]
    stub.questions.clear()
    assert run(main, [*arguments, "-o", str(broken)]) == 0
    assert (
        len(stub.questions) == 3 * 5 - 7
    )  # first picture, yes or no, concepts, caption, last picture
    assert not set(paid) & set(stub.questions)
    manifest = json.loads((broken / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["counts"]["requests"] == 8
    assert run(main, [*arguments, "-o", str(whole)]) == 0
    assert contents(broken) == contents(whole)
    assert sorted(paid + stub.questions[:8]) == sorted(stub.questions[8:])
    told = said + "".join(capsys.readouterr())
    assert "3 trials: 3 to 15 chat requests and at most 6 images" in told
    assert KEY not in told
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
