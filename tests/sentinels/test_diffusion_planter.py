import asyncio

import numpy as np
import pytest
from diffusers import AutoPipelineForText2Image

from engine.cli import run
from images.io import open_photo
from sentinels.__main__ import main
from sentinels.client import Client
from sentinels.planters import DiffusionPlanter
from sentinels.record import Record

SOURCE = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)


def planted(planter, key="BCDFGH", seed=1, attempt=0):
    return asyncio.run(planter.plant(SOURCE, key, seed, attempt))


def test_a_pipeline_draws_sentinels_of_the_sources_size(pipelines, monkeypatch):
    opened, load = [], AutoPipelineForText2Image.from_pretrained
    monkeypatch.setattr(
        AutoPipelineForText2Image,
        "from_pretrained",
        lambda *args, **more: opened.append(args) or load(*args, **more),
    )
    planter = DiffusionPlanter(pipelines[0], steps=2)
    first = planted(planter)
    assert first.rgb.shape == SOURCE.shape
    assert first.rgb.dtype == np.uint8
    assert np.ptp(first.rgb) > 20
    assert '"BCDFGH"' in first.prompt
    assert first.description in first.prompt
    assert '"width": 90' in first.description
    assert (planted(planter).rgb == first.rgb).all()
    for other in ({"seed": 2}, {"attempt": 1}, {"key": "WXYZGH"}):
        assert (planted(planter, **other).rgb != first.rgb).any()
    assert len(opened) == 1
    assert planter.settings()["model"]["sha256"]


def test_a_service_may_describe_for_it(pipelines, service, stub, tmp_path):
    async def go():
        async with Client(service, tmp_path) as client:
            return await DiffusionPlanter(pipelines[0], client, steps=1).plant(
                SOURCE, "BCDFGH", 1, 0
            )

    assert "a thing" in asyncio.run(go()).prompt
    assert [path for path, _ in stub.requests] == ["/v1/chat/completions"]


def test_a_device_that_is_not_there_is_told_before_the_work(pipelines):
    with pytest.raises(ValueError, match="device cuda:99: not on this machine"):
        DiffusionPlanter(pipelines[0], device="cuda:99")


@pytest.mark.parametrize("describer", ["measured", "service"])
def test_the_command_plants_with_a_pipeline(
    collection, pipelines, stub, tmp_path, capsys, describer
):
    """What an untrained one draws looks like no source, so that one source alone can be planted."""
    only = tmp_path / "photos"
    only.mkdir()
    (only / "1.png").write_bytes((collection / "00000" / "000000000.png").read_bytes())
    args = [
        "plant",
        str(only),
        "-o",
        str(tmp_path / "out"),
        "--count",
        "1",
        "--planter",
        "diffusion",
        "--model",
        pipelines[0],
    ]
    args += ["--reader", "none", "--describer", describer, "--service.base_url", f"{stub.root}/v1"]
    assert run(main, args) == 0, capsys.readouterr().err
    record = Record.open(tmp_path / "out" / "record.json")
    ((_, sentinel, path),) = record.pairs()
    assert open_photo(path).rgb.shape == open_photo(only / "1.png").rgb.shape
    assert ("a thing" in sentinel.prompt) == (describer == "service") == bool(stub.requests)
    assert record.description_prompt
