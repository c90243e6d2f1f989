"""Untrusted settings: a model loads or is refused in one line, fast and in little memory."""

import contextlib
import json
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints.folders import pipeline_folder
from checkpoints.sizes import check_sizes
from detectors.detector import Detector
from detectors.networks.frequency import DCTClassifier
from images.transforms.views import View
from models.pipelines import pipeline_outputs
from tests.checkpoints.test_saved import MAKERS, made

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "tiny"
SECONDS = 1.0
BYTES = 400 * 2**20
HUGE = [10**9, 10**5, 3000, 2**31, 2**63, 10**30, -1, 0, 1.5, -1e308, float("nan"), float("inf")]
ODD = [
    None,
    True,
    "",
    "x",
    "1e9",
    [],
    [10**9],
    [10**9, 1],
    [[]],
    {},
    {"a": 1},
    {"name": "vit_giant_patch14_224"},
]


def places(value, path=()):
    """Every setting in nested settings, itself included."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def opened_or_refused(kind, config, weights):
    """Build a network of settings, or be told of them; time and memory are bounded."""
    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(ValueError):
        kind.from_config_and_weights(config, weights, Path("folder"))
    assert time.process_time() - start < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


@pytest.mark.parametrize("name", [*MAKERS, "dct"])
def test_any_settings_end_well(name):
    view = View("crop", 16, 16)
    model = (
        Detector("dct", {"size": 16, "kind": "linear"}, view, view) if name == "dct" else made(name)
    )
    weights = dict(model.state_dict())
    config = json.loads(
        json.dumps({"model": type(model).__name__, "format": 1} | model.to_config())
    )
    spots = [path for path in places(config) if path and path[0] not in ("model", "format")]

    @settings(max_examples=60)
    @given(st.sampled_from(spots), st.sampled_from([*HUGE, *ODD]))
    def check(path, value):
        opened_or_refused(type(model), put(config, path, value), weights)

    check()
    for path in spots:
        for value in (10**9, 3000):
            opened_or_refused(type(model), put(config, path, value), weights)


def test_a_strangers_settings_fetch_no_weights(monkeypatch):
    monkeypatch.setattr(
        "timm.models._builder.load_pretrained", lambda *_, **__: pytest.fail("weights were fetched")
    )
    model = made("Detector of timm")
    config = model.to_config()
    config["options"] = config["options"] | {"pretrained": True}
    assert (
        "pretrained"
        not in Detector.from_config_and_weights(
            config, dict(model.state_dict()), Path("folder")
        ).options
    )


def test_sizes_of_a_network_are_bounded():
    with pytest.raises(ValueError, match="size is 1 to 2048"):
        DCTClassifier(30_000)


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("unet", "layers_per_block", 10**9),
        ("unet", "sample_size", 10**9),
        ("unet", "block_out_channels", [10**9, 64]),
        ("unet", "block_out_channels", [1] * 2000),
        ("vae", "layers_per_block", 10**9),
        ("text_encoder", "num_hidden_layers", 10**9),
        ("text_encoder", "vocab_size", 10**12),
    ],
)
def test_sizes_of_a_pipeline_are_bounded(tmp_path, part, setting, value):
    for file in (SHIPPED / "sd-a1").rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(SHIPPED / "sd-a1")
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(file)
    config = tmp_path / part / "config.json"
    content = json.loads(config.read_text()) | {setting: value}
    config.unlink()
    config.write_text(json.dumps(content))
    for use in (check_sizes, lambda folder: pipeline_folder(str(folder)), pipeline_outputs):
        start = time.process_time()
        with pytest.raises(ValueError, match=rf"{part}.config.json: {setting} is"):
            use(tmp_path)
        assert time.process_time() - start < SECONDS
