"""Planting through a service."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from images.io import open_photo
from images.transforms.geometry import cover_crop
from sentinels.__main__ import main
from sentinels.client import Client
from sentinels.describe import measured_description
from sentinels.plant import PlantConfig, plant
from sentinels.planters import ServicePlanter, nearest_size
from sentinels.reader import open_reader
from sentinels.record import Record
from sentinels.service import Service
from tests.sentinels.conftest import KEY


def service_plant(collection, output, service, config, reader="service"):
    client = Client(service, output / "answers", first_wait=0.01)
    return plant(
        collection, output, ServicePlanter(client), config, open_reader(reader, client), client
    ), client


def test_a_service_plants_through_every_fault_and_a_stop_pays_for_nothing_twice(
    collection, stub, tmp_path
):
    """The service generates images in the source's colors, and reads their keys."""
    source = open_photo(collection / "00000" / "000000000.png").rgb
    buffer = io.BytesIO()
    Image.fromarray(source).resize((512, 512)).save(buffer, format="WEBP", quality=95)
    stub.drawn = buffer.getvalue()
    prompts = []

    def say(asked):
        text = json.dumps(asked["messages"])
        if "Which letters" in text:
            return " ".join(prompts[-1].split('letters "')[1].split('"')[0]).lower()
        return stub.answer(asked)

    stub.say = say
    original = stub.good

    def good(handler, asked):
        if "prompt" in asked:
            prompts.append(asked["prompt"])
        return original(handler, asked)

    stub.good = good
    config = PlantConfig(count=1, order="first", seed=2, concurrency=1)
    limited = Service(base_url=f"{stub.root}/v1", attempts=4, max_calls=4)
    stub.faults = ["429", "500", None]
    with pytest.raises(ValueError, match="max_calls"):
        service_plant(collection, tmp_path / "out", limited, config)
    asked_before = len(stub.requests)
    (report, client) = service_plant(
        collection, tmp_path / "out", Service(base_url=f"{stub.root}/v1"), config
    )
    assert not report.failed
    assert client.cached >= 2  # description and picture were kept
    assert len(stub.requests) - asked_before == client.calls == 1
    record = Record.open(tmp_path / "out" / "record.json")
    sentinel = record.sentinels["00000/000000000.png"]
    assert sentinel.described["subject"]["type"] == "thing"
    assert prompts[0].count(sentinel.key) == 1
    assert "120 by 80 pixels" in prompts[0]  # measured, whatever the description says
    assert open_photo(record.locate(sentinel.generated)).rgb.shape == source.shape
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]


def test_what_a_service_spoils_is_counted(collection, service, stub, tmp_path):
    stub.faults = ["sorry", "not a picture", "prose", "refusal"]
    report, _ = service_plant(
        collection,
        tmp_path / "out",
        service,
        PlantConfig(count=1, seed=2, attempts=2),
        reader="none",
    )
    assert len(report.failed) == 1
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]["failed"] == 1


def test_a_refused_key_ends_the_command_with_one_line(collection, tmp_path, stub, capsys):
    """Four sources are asked for at once; no other is asked for, and the first answer is kept."""
    stub.faults = [None, *["401"] * 20]
    where = ["-o", str(tmp_path / "out"), "--count", "8", "--seed", "1", "--reader", "none"]
    url = ["--planter", "service", "--service.base_url", f"{stub.root}/v1"]
    assert run(main, ["plant", str(collection), *where, *url]) == 2
    told = capsys.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("error:")]
    assert "status 401" in line
    assert "check the API key" in line
    assert "Traceback" not in told
    assert KEY not in told
    assert len(stub.requests) <= 5
    assert len(list((tmp_path / "out" / "answers").rglob("*.json"))) == 1


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((100, 100), "1024x1024"), ((480, 320), "1536x1024"), ((300, 500), "1024x1536")],
)
def test_the_nearest_shape_is_asked_for(size, wanted):
    assert nearest_size(*size) == wanted


def test_other_shapes_are_cut_and_sizes_are_measured():
    assert cover_crop(np.zeros((64, 96, 3), np.uint8), 80, 50).shape == (80, 50, 3)
    described = json.loads(measured_description(np.full((40, 60, 3), (250, 250, 250), np.uint8)))
    assert described["technical"]["resolution"] == {"width": 60, "height": 40}
    assert described["context"]["color_scheme"][0] == "white"
