import asyncio
import io
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from engine.http_status import KeyRefused
from images.headers import read_header
from images.io import open_photo, save_png
from images.photo import Photo
from images.traits import file_traits
from images.transforms.geometry import cover_crop
from sentinels.__main__ import main
from sentinels.client import Client
from sentinels.describe import measured_description
from sentinels.placement import saliency
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter, ServicePlanter, nearest_size
from sentinels.plate import PlateStyle, set_key
from sentinels.reader import open_reader
from sentinels.record import Record
from sentinels.service import Service
from sentinels.verify import verify
from sentinels.view import retriever_view
from tests.sentinels.conftest import KEY


def test_a_key_changes_its_place_and_nothing_else(portraits):
    rgb = (portraits[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    large = np.kron(rgb, np.ones((3, 3, 1), np.uint8))
    plate = set_key(large, "BCDFGH", np.random.default_rng(1))
    assert plate.rgb.shape == large.shape
    assert len(plate.centers) == 6
    assert (np.diff(plate.centers[:, 0]) > 0).all()
    far = np.ones(large.shape[:2], bool)
    low, high = (
        plate.corners.min(axis=0).astype(int) - 20,
        plate.corners.max(axis=0).astype(int) + 20,
    )
    far[max(0, low[1]) : high[1], max(0, low[0]) : high[0]] = False
    assert (plate.rgb[far] == large[far]).all()
    assert (plate.rgb != large).any()
    again = set_key(large, "BCDFGH", np.random.default_rng(1))
    assert (again.rgb == plate.rgb).all()


@pytest.mark.parametrize("shape", [(120, 400), (400, 120), (201, 200)])
def test_a_key_lies_in_the_square_that_retrievers_see(shape):
    """And off what stands out, which is a disc in its lower half."""
    rgb = np.full((*shape, 3), (60, 110, 150), np.uint8)
    side, middle = min(shape), (shape[1] // 2, shape[0] // 2)
    cv2.circle(rgb, (middle[0], middle[1] + side // 6), side // 5, (240, 200, 40), -1)
    for seed in range(5):
        plate = set_key(rgb, "BCDFGH", np.random.default_rng(seed))
        off_center = np.abs(plate.corners - (np.array(shape[::-1]) - 1) / 2)
        assert (off_center <= side / 2).all()
        assert plate.centers[:, 1].mean() < middle[1]
    assert retriever_view(Photo(rgb)).shape == (224, 224, 3)
    hidden = Photo(rgb, np.zeros(shape, np.uint8))
    assert (retriever_view(hidden) == 255).all()


def test_saliency_is_higher_where_something_stands_out():
    square = np.full((100, 100, 3), 90, np.uint8)
    square[30:50, 55:75] = (250, 240, 10)
    heat = saliency(square)
    assert heat.mean() == pytest.approx(1, abs=0.05)
    assert heat[25:55, 50:80].mean() > 2 * heat[:, :30].mean()
    assert np.isfinite(saliency(np.zeros((64, 64, 3), np.uint8))).all()


def test_a_key_is_read_in_the_view_of_retrievers(collection, tmp_path):
    shapes = []

    async def reader(rgb):
        shapes.append(rgb.shape)
        return "x".join(current)

    current = []

    class Watched(LocalPlanter):
        async def plant(self, source, key, *args):
            current[:] = [key]
            return await super().plant(source, key, *args)

    config = PlantConfig(count=2, seed=1, concurrency=1)
    report = planted(collection, tmp_path / "out", config, reader, planter=Watched())
    assert not report.failed
    assert set(shapes) == {(224, 224, 3)}
    for sentinel in Record.open(tmp_path / "out" / "record.json").sentinels.values():
        corners = np.array(sentinel.provenance["plate"])
        assert corners.shape == (4, 2)
        assert (np.abs(corners[:, 0] - 59.5) <= 40).all()
        assert sentinel.provenance["read_in_view"] == 224


def test_a_picture_may_be_too_small_for_a_key():
    with pytest.raises(ValueError, match="too small"):
        set_key(np.zeros((20, 200, 3), np.uint8), "BCDFGH", np.random.default_rng(0))
    with pytest.raises(ValueError, match="contrast"):
        PlateStyle(contrast=0)


def planted(collection, output, config, letters=None, planter=None):
    return plant(collection, output, planter or LocalPlanter(), config, letters)


def test_sentinels_look_like_files_of_the_collection(collection, tmp_path):
    report = planted(collection, tmp_path / "out", PlantConfig(count=9, seed=1))
    record = Record.open(tmp_path / "out" / "record.json")
    assert not report.failed
    assert len(record.sentinels) == 9
    assert {"00000/000000001.png", "00001/000000001.png", "00000/000000004.jpg"} <= set(
        record.sentinels
    )
    images = tmp_path / "out" / "images"
    for name, sentinel, path in record.pairs():
        source = collection / name
        assert path == images / name == images / sentinel.published
        assert read_header(path.read_bytes()) == read_header(source.read_bytes())
        assert file_traits(path.read_bytes()) == file_traits(source.read_bytes())
        assert path.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert path.stat().st_mode == source.stat().st_mode
        assert record.locate(sentinel.original) == source
        assert path.read_bytes() != source.read_bytes()
    assert record.withheld == list(record.sentinels)
    content = json.loads((tmp_path / "out" / "record.json").read_text())
    assert content["provenance"]["withhold"] == record.withheld
    assert [finding for finding in verify(record) if finding.level == "error"] == []
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["keys_read_back"] is False


def test_what_is_secret_is_for_its_owner_from_the_first_byte(collection, tmp_path, monkeypatch):
    modes = []
    replace = os.replace

    def watch(partial, target):
        modes.append((Path(target).name, Path(partial).stat().st_mode & 0o777))
        replace(partial, target)

    monkeypatch.setattr(os, "replace", watch)
    umask = os.umask(0o022)
    try:
        planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)
    assert {"record.json", "sources.json", "manifest.json"} <= {name for name, _ in modes}
    assert {mode for _, mode in modes} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "out").iterdir():
        assert file.is_dir() or file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o700 if file.is_dir() else 0o644)  # as earlier versions left it
    planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
    assert (tmp_path / "out" / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_prefixed_sentinels_stand_beside_their_sources(collection, tmp_path):
    config = PlantConfig(count=9, seed=1, names="prefixed")
    planted(collection, tmp_path / "out", config)
    record = Record.open(tmp_path / "out" / "record.json")
    assert record.withheld == []
    published = {sentinel.published for sentinel in record.sentinels.values()}
    assert len(published) == 9
    assert "00000/sentinel_000000004.jpg" in published
    assert "00001/sentinel_00001_000000001_png.png" in published


def test_a_stopped_job_ends_as_an_unbroken_one(collection, tmp_path, monkeypatch):
    config = PlantConfig(count=6, seed=5)
    planted(collection, tmp_path / "whole", config)
    calls = []

    class Stops(LocalPlanter):
        async def plant(self, *args):
            calls.append(args)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return await super().plant(*args)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        planted(collection, tmp_path / "broken", config, planter=Stops())
    assert 0 < len(Record.open(tmp_path / "broken" / "record.json").sentinels) < 6
    planted(collection, tmp_path / "broken", config)

    def contents(folder):
        entries = json.loads((folder / "record.json").read_text())["processed_images"]
        facts = {
            name: {key: value for key, value in entry.items() if "timestamp" not in key}
            for name, entry in entries.items()
        }
        return dict(sorted(facts.items())), {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("images/*/*")
        }

    first, second = contents(tmp_path / "whole"), contents(tmp_path / "broken")
    assert {name: entry["random_key"] for name, entry in first[0].items()} == {
        name: entry["random_key"] for name, entry in second[0].items()
    }
    assert first[1] == second[1]


def test_a_folder_of_an_earlier_version_goes_on_and_a_changed_source_is_planted_anew(
    collection, tmp_path
):
    """Records without a journal: entries are done if their source has the recorded sha256."""
    photos, out = shutil.copytree(collection, tmp_path / "photos"), tmp_path / "out"
    config = PlantConfig(count=5, seed=5, order="first")
    planted(photos, out, config)
    made = {path: path.read_bytes() for path in out.rglob("images/*/*")}
    (out / "journal.jsonl").unlink()
    content = json.loads((out / "record.json").read_text())
    gone = content["processed_images"].pop("00000/000000002.png")
    (out / gone["generated_image"]).unlink()
    (out / "record.json").write_text(json.dumps(content))
    shutil.copy(photos / "00001" / "000000003.png", photos / "00000" / "000000001.png")
    report = planted(photos, out, config)
    assert report.done_before == 3
    assert report.counts() == {"done": 5, "failed": 0, "skipped": 0}
    again = {path: path.read_bytes() for path in out.rglob("images/*/*")}
    changed = out / content["processed_images"]["00000/000000001.png"]["generated_image"]
    assert again.keys() == made.keys()
    assert [path for path in made if made[path] != again[path]] == [changed]
    assert not [
        finding for finding in verify(Record.open(out / "record.json")) if finding.level == "error"
    ]
    assert planted(photos, out, config).nothing_to_do


def test_a_refused_key_ends_the_job_when_what_is_under_way_is_kept(
    collection, tmp_path, monkeypatch
):
    """A reached limit at the second of three sources keeps the third, which is not repeated."""
    calls = []

    class Refused(LocalPlanter):
        async def plant(self, source, key, *args):
            calls.append(key)
            if len(calls) == 2:
                msg = "status 401; check the API key"
                raise KeyRefused(msg)
            await asyncio.sleep(0.05)
            return await super().plant(source, key, *args)

    config = PlantConfig(count=6, seed=5, concurrency=3)
    with pytest.raises(KeyRefused, match="check the API key"):
        planted(collection, tmp_path / "out", config, planter=Refused())
    assert len(calls) == 3
    kept = Record.open(tmp_path / "out" / "record.json").sentinels
    assert {sentinel.key for sentinel in kept.values()} == {calls[0], calls[2]}
    report = planted(collection, tmp_path / "out", config, planter=Refused())
    assert len(calls) == 7
    assert not {calls[0], calls[2]} & set(calls[3:])
    assert (report.done_before, len(report.rows)) == (2, 6)


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


def test_other_settings_are_kept_out_of_a_folder(collection, tmp_path):
    planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
    with pytest.raises(ValueError, match="other settings"):
        planted(collection, tmp_path / "out", PlantConfig(count=3, seed=1))
    with pytest.raises(ValueError, match="lies inside"):
        planted(collection, collection / "out", PlantConfig(count=2))
    with pytest.raises(ValueError, match="lower count"):
        planted(collection, tmp_path / "more", PlantConfig(count=99))
    assert not (tmp_path / "more").exists()  # the mistake can be mended


@pytest.mark.parametrize(
    "content", ["[]", '{"seed": "x", "sources": []}', '{"sources": ["a"]}', '{"seed": 1, "sou']
)
def test_a_damaged_list_of_sources_is_named(collection, tmp_path, content):
    planted(collection, tmp_path / "out", PlantConfig(count=2))
    (tmp_path / "out" / "sources.json").write_text(content)
    with pytest.raises(ValueError, match=r"sources\.json: damaged"):
        planted(collection, tmp_path / "out", PlantConfig(count=2))


def test_an_illegible_key_is_tried_again_and_given_up(collection, tmp_path):
    read = []

    async def blind(rgb):
        read.append(rgb)
        return ""

    report = planted(collection, tmp_path / "out", PlantConfig(count=1, seed=1, attempts=3), blind)
    assert len(read) == 3
    assert "not legible" in next(iter(report.failed.values()))
    assert not Record.open(tmp_path / "out" / "record.json").sentinels


def test_a_sentinel_that_looks_like_another_source_is_refused(collection, tmp_path):
    other = open_photo(collection / "00000" / "000000000.png").rgb

    class Confused(LocalPlanter):
        async def plant(self, source, *args):
            made = await super().plant(source, *args)
            return type(made)(other)

    report = planted(
        collection, tmp_path / "out", PlantConfig(count=9, seed=1, attempts=1), planter=Confused()
    )
    assert set(Record.open(tmp_path / "out" / "record.json").sentinels) == {"00000/000000000.png"}
    assert all("looks more like" in reason for reason in report.failed.values())


@pytest.mark.parametrize("names", ["neutral", "prefixed"])
def test_odd_files_are_planted_and_never_written_over(collection, tmp_path, names):
    """Blanks, other scripts, capitals, repeated names, and files that are not images."""
    png, jpg = (collection / "00000" / name for name in ("000000001.png", "000000004.jpg"))
    odd = [
        "Summer 2019/photo (1).png",
        "\u0444\u043e\u0442\u043e\u0433\u0440\u0430\u0444\u0438\u044f.png",
        "\u5199\u771f/1.png",
        "1.png",
        "x.JPG",
        "x.png",
    ]
    for number, name in enumerate(odd):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("JPG"):
            (tmp_path / "photos" / name).write_bytes(jpg.read_bytes())
        else:
            save_png(
                Photo(np.roll(open_photo(png).rgb, 20 * number, axis=1)), tmp_path / "photos" / name
            )
    (tmp_path / "photos" / "mislabelled.jpg").write_bytes(
        (collection / "00001" / "000000000.png").read_bytes()
    )
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "empty").mkdir()
    report = planted(
        tmp_path / "photos", tmp_path / "out", PlantConfig(count=8, seed=1, names=names)
    )
    assert list(report.failed) == ["broken.jpg"]
    record = Record.open(tmp_path / "out" / "record.json")
    assert set(record.sentinels) == {*odd, "mislabelled.jpg"}
    made = {name: path for name, _, path in record.pairs()}
    assert len(set(made.values())) == 7
    for name, path in made.items():
        is_own = path.relative_to(tmp_path / "out" / "images") == Path(name)
        assert is_own == (names == "neutral")
        source = (tmp_path / "photos" / name).read_bytes()
        assert file_traits(path.read_bytes()) == file_traits(source)
    assert not [finding for finding in verify(record) if finding.level == "error"]


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


def test_the_command_plants_and_says_what_was_not_checked(collection, tmp_path, capsys):
    output = tmp_path / "out"
    assert (
        run(
            main,
            [
                "plant",
                str(collection),
                "-o",
                str(output),
                "--count",
                "3",
                "--seed",
                "1",
                "--reader",
                "none",
            ],
        )
        == 0
    )
    assert "NOT read back" in capsys.readouterr().out
    assert run(main, ["verify", str(output / "record.json")]) == 0
    assert (
        run(
            main,
            [
                "plant",
                str(collection),
                "-o",
                str(output),
                "--planter",
                "diffusion",
                "--reader",
                "none",
            ],
        )
        == 2
    )
    assert "--model" in capsys.readouterr().err


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


def test_a_file_that_cannot_be_imitated_is_told(collection, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    rgb = Image.fromarray(open_photo(collection / "00000" / "000000000.png").rgb)
    rgb.convert("CMYK").save(tmp_path / "photos" / "print.jpg")
    command = ["plant", str(tmp_path / "photos"), "-o", str(tmp_path / "out"), "--reader", "none"]
    assert run(main, [*command, "--count", "1"]) == 0
    told = capsys.readouterr()
    assert "print.jpg: its file is not like its source's: RGB instead of CMYK" in told.err
    assert "replace those of the same names" in told.out
    (sentinel,) = Record.open(tmp_path / "out" / "record.json").sentinels.values()
    assert sentinel.provenance["differences"] == ["RGB instead of CMYK"]


def test_names_that_are_no_text_are_planted(collection, tmp_path):
    photos = shutil.copytree(collection, tmp_path / "photos")
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        os.rename(path, os.fsencode(path.parent) + b"/\xff%d.png" % number)
    assert (
        run(
            main,
            [
                "plant",
                str(photos),
                "-o",
                str(tmp_path / "out"),
                "--reader",
                "none",
                "--count",
                "9",
                "--seed",
                "1",
            ],
        )
        == 0
    )
    assert len(Record.open(tmp_path / "out" / "record.json").sentinels) == 9


def test_sentinels_have_the_codecs_of_their_sources(collection, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted(collection.rglob("*.png"))[:2]):
        with Image.open(path) as image:
            image.save(photos / f"{number}{('.gif', '.avif')[number]}")
    assert not planted(photos, tmp_path / "out", PlantConfig(count=2, seed=1)).failed
    codecs = []
    for _, sentinel, path in Record.open(tmp_path / "out" / "record.json").pairs():
        codecs.append(read_header(path.read_bytes()).codec)
        assert "differences" not in sentinel.provenance
        assert path.suffix == f".{codecs[-1]}"
    assert sorted(codecs) == ["avif", "gif"]
