"""Readers that ask a service."""

import json

import torch
from PIL import Image

from engine.cli import run
from sentinels.__main__ import main
from sentinels.client import Client
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.reader import KeyReader, load_reader
from sentinels.record import Record


def test_a_service_reads_wherever_keys_are_read(service, stub, tmp_path):
    stub.say = lambda asked: "B C D F G H"
    reader = load_reader("service", Client(service, tmp_path / "answers"))
    images = torch.stack([torch.zeros(3, 40, 60), torch.ones(3, 40, 60)])
    assert reader(images) == ["B C D F G H"] * 2
    assert len(stub.requests) == 2
    assert reader(images[:1]) == ["B C D F G H"]  # from the cache
    assert len(stub.requests) == 2


def test_verify_reads_by_a_service(collection, service, stub, tmp_path, capsys):
    plant(collection, tmp_path / "out", LocalPlanter(), PlantConfig(count=2, seed=1), None)
    record = tmp_path / "out" / "record.json"
    keys = [sentinel.key for sentinel in Record.open(record).sentinels.values()]
    stub.say = lambda asked: " and ".join(keys)
    command = ["verify", str(record), "--reader", "service", "--service.base_url"]
    assert run(main, [*command, service.base_url, "--json"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["in_error"] == 0
    assert stub.requests


def test_keys_are_read_as_seen_on_white():
    image = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    seen = []

    def read(images):
        seen.extend(images)
        return [""] * len(images)

    KeyReader(read).read(image)
    expected = torch.ones(3, 4, 6)
    expected[:, 0, 0] = 0
    assert torch.equal(seen[0], expected)
