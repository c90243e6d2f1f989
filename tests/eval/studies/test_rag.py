import asyncio
import json
import shutil

import numpy as np
import pytest
import torch

from engine.cli import run
from engine.devices import DeviceOptions
from engine.job import JobOptions
from eval.__main__ import main
from eval.attacks.rag import (
    FlowConfig,
    ImageToImageGenerator,
    ReadingJudge,
    Retriever,
    ServiceGenerator,
    ServiceJudge,
    query_prompt,
)
from eval.attacks.rag.judges import quoted
from eval.studies.rag import estimate, run_rag, summary
from eval.studies.rag_database import Database, sentinel_name
from images.inputs import find_images
from models.embed_job import embed_images
from models.embedders import open_embedder
from models.image_text_net import ImageTextNet
from sentinels.client import Client
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.record import Record
from sentinels.service import Service
from tests.sentinels.conftest import KEY


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """An embedder that reads nothing, since it is untrained."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reads")
    ImageTextNet(
        ["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=1.0
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def planted(collection, tmp_path):
    plant(collection, tmp_path / "sentinels", LocalPlanter(), PlantConfig(count=4, seed=3), None)
    return tmp_path / "sentinels" / "record.json"


def attack(planted, collection, output, reads, generator, judge, **more):
    database = Database(collection, embedder=reads, accelerator="cpu")
    return run_rag(
        planted, output, database, generator, judge, **({"arms": ("protected", "control")} | more)
    )


def test_a_local_system_is_asked_in_every_arm(planted, collection, tmp_path, reads, pipelines):
    generator, output = ImageToImageGenerator(pipelines[0], steps=4), tmp_path / "out"
    arms = ("protected", "control", "replacement")
    done = attack(
        planted,
        collection,
        output,
        reads,
        generator,
        ReadingJudge(reads),
        arms=arms,
        flow=FlowConfig(top_k=99),
    )
    names = {
        arm: set(trials.entries["00001/000000001.png"]["trials"][0]["retrieved_images"])
        for arm, trials in done.arms.items()
    }
    record = Record.open(planted)
    sentinels = {str(path) for _, _, path in record.pairs()}
    sources = {str(collection / name) for name in record.sentinels}
    assert len(names["control"]) == 9
    assert names["protected"] == names["control"] | sentinels
    assert names["replacement"] == (names["control"] - sources) | sentinels
    trial = done.arms["protected"].entries["00001/000000001.png"]["trials"][0]
    key = record.sentinels["00001/000000001.png"].key
    assert trial["caption"] == key
    assert trial["prompt"] == query_prompt(key)
    assert (output / "protected" / "images" / trial["initial_image"]).is_file()
    assert (output / "protected" / "images" / trial["final_image"]).is_file()
    assert summary(done.arms["control"]) == {"keys": 4, "trials": 4, "triggered": 4, "undecided": 0}
    assert json.loads((output / "manifest.json").read_text())["finished"]
    first = {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    again = attack(
        planted,
        collection,
        output,
        reads,
        generator,
        ReadingJudge(reads),
        arms=arms,
        flow=FlowConfig(top_k=99, trials=2),
    )
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert summary(again.arms["protected"])["trials"] == 8
    with pytest.raises(ValueError, match="other settings"):
        attack(planted, collection, output, reads, generator, ReadingJudge(reads), seed=1)


def test_a_picture_that_shows_the_key_needs_no_search(
    planted, collection, tmp_path, reads, pipelines
):
    class Satisfied(ReadingJudge):
        async def matches(self, picture, prompt, salt):
            return "yes"

    done = attack(
        planted,
        collection,
        tmp_path / "out",
        reads,
        ImageToImageGenerator(pipelines[0], steps=3),
        Satisfied(reads),
        arms=("control",),
    )
    assert summary(done.arms["control"]) == {"keys": 4, "trials": 4, "triggered": 0, "undecided": 0}
    assert (
        done.arms["control"].entries["00001/000000001.png"]["trials"][0]["result"]
        == "matches prompt"
    )


def hosted(planted, collection, output, reads, service, **more):
    generator, judge = ServiceGenerator(), ServiceJudge()
    return attack(
        planted,
        collection,
        output,
        reads,
        generator,
        judge,
        service=service,
        arms=("protected",),
        **more,
    )


def test_a_hosted_system_is_asked_through_faults_and_pays_for_nothing_twice(
    planted, collection, tmp_path, reads, stub, capsys, monkeypatch
):
    monkeypatch.setattr("sentinels.client.Client.first_wait", 0.01)
    service, output = (
        Service(base_url=f"{stub.root}/v1", concurrency=2, max_calls=9),
        tmp_path / "out",
    )
    stub.faults = ["429", "500", "cut"]
    with pytest.raises(ValueError, match="max_calls"):
        hosted(planted, collection, output, reads, service)
    assert not json.loads((output / "manifest.json").read_text())["finished"]
    paid = len(stub.requests)
    assert paid == 9
    done = hosted(planted, collection, output, reads, Service(base_url=f"{stub.root}/v1"))
    assert not done.failed
    assert len(stub.requests) - paid == done.calls
    good = 4 * 5  # first picture, yes or no, concepts, caption, last picture
    assert paid - 3 + done.calls == good
    trials = done.arms["protected"].entries["00001/000000001.png"]["trials"]
    assert trials[0]["caption"] == "ABCDEF"
    once = hosted(planted, collection, output, reads, Service(base_url=f"{stub.root}/v1"))
    assert once.calls == 0
    told = "".join(capsys.readouterr())
    leaks = [
        path for path in output.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert KEY not in told
    assert not leaks


def test_one_bad_answer_fails_one_key_and_is_told(
    planted, collection, tmp_path, reads, stub, caplog
):
    stub.faults = ["not a picture"]
    done = hosted(
        planted,
        collection,
        tmp_path / "out",
        reads,
        Service(base_url=f"{stub.root}/v1", concurrency=1),
    )
    assert len(done.failed) == 1
    assert "not a valid image file" in caplog.text
    assert summary(done.arms["protected"])["keys"] == 3


def judged(service, cache, work):
    async def go():
        async with Client(service, cache) as client:
            judge = ServiceJudge()
            judge.client = client
            return await work(judge)

    return asyncio.run(go())


def test_prose_refusals_and_eyes_are_not_taken_for_answers(service, stub, tmp_path):
    picture = np.zeros((40, 40, 3), np.uint8)
    stub.faults = ["undecided"]
    assert judged(service, tmp_path, lambda judge: judge.matches(picture, "x", "")) == "undecided"
    stub.faults = ["sorry", "sorry", None]
    assert judged(service, tmp_path, lambda judge: judge.concepts(picture, "x", "")) == ["ABCDEF"]
    temperatures = [asked["temperature"] for _, asked in stub.requests[1:]]
    assert temperatures == [0.0, 0.4, 0.8]  # really warmer each time
    assert all(
        len([part for part in asked["messages"][0]["content"] if part["type"] == "image_url"]) == 1
        for _, asked in stub.requests
    )
    stub.faults = ["sorry"]
    assert judged(service, tmp_path, lambda judge: judge.captions("x", ["y"], "")) == []


def test_every_way_to_search_runs(collection, service, stub, tmp_path, reads):
    embedder = open_embedder(reads)
    report = embed_images(
        find_images([collection]),
        tmp_path / "v",
        embedder,
        "sentinels embed",
        JobOptions(DeviceOptions("cpu")),
    )
    store = report.store
    captions = {
        f"originals/{name}": f"thing number {place}"
        for place, name in enumerate(sorted(store.labels))
    }

    def search(method, **more):
        async def go():
            async with Client(service, tmp_path / "answers") as client:
                return await Retriever(
                    {"originals": store}, embedder, method, captions, client, **more
                ).search("thing number 7", 3)

        return asyncio.run(go())

    names = sorted(captions)
    assert len(search("cosine")) == 3
    assert search("bm25")[0][0] == names[7]
    assert len(search("fusion")) == 3
    before = [name for name, _ in search("cosine")]
    stub.say = lambda asked: "1, 0"
    assert [name for name, _ in search("rerank", candidates=2)] == [before[1], before[0], before[2]]
    stub.say = lambda asked: "the second, I think"
    assert [name for name, _ in search("rerank", candidates=3)] == before
    assert {name for name, _ in search("cosine", limit=2)} == set(names[:2])
    with pytest.raises(ValueError, match="needs captions"):
        Retriever({"originals": store}, embedder, "bm25")


def test_the_estimate_counts_and_prices(service):
    priced = Service(chat_price=0.01, image_price=0.1, max_calls=50)
    words = estimate(20, 2, FlowConfig(trials=2), ServiceGenerator(), ServiceJudge(), priced)
    assert "80 trials: 80 to 400 chat requests and at most 160 images" in words
    assert "at most 20.00" in words
    assert "stops after 50" in words


def test_the_command(planted, collection, tmp_path, reads, pipelines, capsys):
    args = [
        "rag",
        "-o",
        str(tmp_path / "out"),
        "--record",
        str(planted),
        "--database.originals",
        str(collection),
    ]
    args += [
        "--database.embedder",
        reads,
        "--database.accelerator",
        "cpu",
        "--generator",
        "ImageToImageGenerator",
    ]
    args += [
        "--generator.model",
        pipelines[0],
        "--generator.steps",
        "3",
        "--judge",
        "ReadingJudge",
        "--judge.reader",
        reads,
    ]
    args += ["--decide.similarity", reads]
    assert run(main, args) == 0
    told = capsys.readouterr().out
    assert "protected: 4 keys, 4 trials" in told
    assert "permutation" in (tmp_path / "out" / "decision" / "decision.json").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 4 * 4
    assert Record.open(planted).sentinels["00001/000000001.png"].key in page
    shutil.rmtree(tmp_path / "out")
    assert run(main, [*args[:-2], "--judge", "ServiceJudge", "--decide.similarity", reads]) == 2
    assert "service" in capsys.readouterr().err
    assert run(main, [*args, "--generator.device", "cuda:77"]) == 2
    assert "not on this machine" in capsys.readouterr().err


def test_names():
    assert quoted("with 'ABC' and \"D E\" and 'ABC'") == ["ABC", "D E"]
    from pathlib import Path

    assert sentinel_name("images/0/1.png", Path("/x/1.png")) == "0/1.png"
    assert sentinel_name("../old/sentinel_1.jpg", Path("/x/sentinel_1.jpg")) == "sentinel_1.jpg"
