"""The retrieval attack on a hosted system: faults, refusals and costs."""

import asyncio
import json

import numpy as np
import pytest

from eval.attacks.rag import (
    FlowConfig,
    ServiceGenerator,
    ServiceJudge,
)
from eval.studies.rag import estimate, summary
from sentinels.client import Client
from sentinels.service import Service
from tests.eval.studies.retrieval_attack import attack
from tests.sentinels.conftest import KEY


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


def test_the_estimate_counts_and_prices(service):
    priced = Service(chat_price=0.01, image_price=0.1, max_calls=50)
    words = estimate(20, 2, FlowConfig(trials=2), ServiceGenerator(), ServiceJudge(), priced)
    assert "80 trials: 80 to 400 chat requests and at most 160 images" in words
    assert "at most 20.00" in words
    assert "stops after 50" in words
