"""``protect`` keeps formats, metadata and folders, and resumes after a stop."""

import csv
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from torchvision import transforms

from engine.cli import run
from images.io import open_photo
from images.transforms.geometry import center_crop_photo
from rid.__main__ import main

ROOT = Path(__file__).parents[3]


def protect(*arguments):
    return run(main, ["protect", *map(str, arguments), "--workers", "0"])


def picture(width=90, height=70, seed=0):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(30, 220, (7, 9, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def rows(out):
    with (out / "protected.csv").open(newline="") as stream:
        return {row["source"]: row for row in csv.DictReader(stream)}


def notes():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def with_thumbnail(exif, jpeg):
    """EXIF notes with a second directory that holds a small copy of the picture."""
    body = bytearray(exif[6:])  # after "Exif" and two zeros
    order = "<" if body[:2] == b"II" else ">"
    first = struct.unpack_from(order + "L", body, 4)[0]
    count = struct.unpack_from(order + "H", body, first)[0]
    struct.pack_into(order + "L", body, first + 2 + 12 * count, len(body))
    start = len(body) + 2 + 2 * 12 + 4
    entries = [(0x0201, 4, 1, start), (0x0202, 4, 1, len(jpeg))]
    body += (
        struct.pack(order + "H", 2)
        + b"".join(struct.pack(order + "HHLL", *entry) for entry in entries)
        + bytes(4)
        + jpeg
    )
    return bytes(exif[:6] + body)


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


SAVED_AS = {
    "a.png": ({}, {"CMYK"}),
    "A.PNG": ({}, {"CMYK"}),
    "a.jpg": ({"quality": 90}, {"P", "RGBA", "LA", "I;16"}),
    "a.jpeg": ({"progressive": True}, {"P", "RGBA", "LA", "I;16"}),
    "a.webp": ({"lossless": True}, set()),
    "a.bmp": ({}, {"CMYK", "LA", "I;16"}),
    "a.tif": ({}, set()),
    "a.tiff": ({"compression": "tiff_lzw"}, set()),
}
"""How each format is saved, and the modes it cannot hold."""
MODES = ("RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (name, mode)
        for name, (_, cannot) in SAVED_AS.items()
        for mode in MODES
        if mode not in cannot
    ],
)
def test_every_format_and_colour_mode(tmp_path, generator_folder, name, mode):
    image = (
        Image.fromarray(np.asarray(picture().convert("L"), np.uint16) << 8)
        if mode == "I;16"
        else picture().convert(mode)
    )
    image.save(tmp_path / name, **SAVED_AS[name][0])
    assert protect(tmp_path / name, "-o", tmp_path / "out", "--weights", generator_folder) == 0
    before, after = (
        open_photo(tmp_path / name),
        Image.open(tmp_path / "out" / (Path(name).stem + ".png")),
    )
    assert after.size == (90, 70)
    levels = np.abs(before.rgb.astype(int) - np.asarray(after.convert("RGB")).astype(int))
    assert 0 < levels.max() <= 6
    if before.alpha is not None:
        assert np.array_equal(before.alpha, np.asarray(after.getchannel("A")))
    assert int(rows(tmp_path / "out")[name]["levels"]) == levels.max()


@pytest.mark.parametrize("format_", ["png", "jpeg"])
def test_metadata_is_kept_upright_and_without_a_thumbnail(tmp_path, generator_folder, format_):
    thumbnail = io.BytesIO()
    picture(40, 30).save(thumbnail, "JPEG")
    picture().save(
        tmp_path / "a.jpg",
        exif=with_thumbnail(notes().tobytes(), thumbnail.getvalue()),
        icc_profile=PROFILE,
    )
    assert thumbnail.getvalue() in (tmp_path / "a.jpg").read_bytes()
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1), "the thumbnail is where viewers look"
    assert (
        protect(
            tmp_path / "a.jpg",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
            "--format",
            format_,
        )
        == 0
    )
    result = next(path for path in (tmp_path / "out").iterdir() if path.suffix in (".png", ".jpg"))
    with Image.open(result) as image:
        assert image.size == (70, 90)
        kept = image.getexif()
        assert kept[ExifTags.Base.Make] == "Camera"
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert image.info["icc_profile"] == PROFILE
    assert thumbnail.getvalue() not in result.read_bytes()


def test_metadata_is_dropped_on_request(tmp_path, generator_folder):
    picture().save(tmp_path / "a.jpg", exif=notes(), icc_profile=PROFILE)
    assert (
        protect(
            tmp_path / "a.jpg",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
            "--strip_metadata",
            "true",
        )
        == 0
    )
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert not image.getexif()
        assert "icc_profile" not in image.info


def test_jpeg_only_on_request_in_full_quality_and_with_a_warning(
    tmp_path, generator_folder, capsys
):
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in" / "a.jpg")
    picture().convert("RGBA").save(tmp_path / "in" / "glass.png")
    assert (
        protect(
            tmp_path / "in",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
            "--format",
            "jpeg",
        )
        == 1
    )
    told = capsys.readouterr().err
    assert "warning: JPEG is lossy" in told
    assert "glass.png: it has transparency, which JPEG cannot hold" in told
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.layer[0][1:3] == (1, 1), "4:4:4"
        assert sum(image.quantization[0]) < 500, "quality 75 has 1858"
        saved = np.asarray(image).astype(int)
    actual = np.abs(saved - open_photo(tmp_path / "in" / "a.jpg").rgb.astype(int)).max()
    assert int(rows(tmp_path / "out")["a.jpg"]["levels"]) == actual


@pytest.mark.parametrize("size", [(1920, 1080), (300, 200), (120, 333), (64, 64)])
def test_crop_prepares_as_the_papers_programs(tmp_path, generator_folder, size):
    picture(*size).save(tmp_path / "a.png")
    theirs = transforms.Compose([transforms.Resize(512), transforms.CenterCrop(512)])(
        Image.open(tmp_path / "a.png")
    )
    assert np.array_equal(
        np.asarray(theirs), center_crop_photo(open_photo(tmp_path / "a.png"), 512).rgb
    )
    assert (
        protect(
            tmp_path / "a.png",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
            "--resize-mode",
            "crop",
        )
        == 0
    )
    assert open_photo(tmp_path / "out" / "a.png").rgb.shape == (64, 64, 3)


@pytest.mark.parametrize("fit", ["resize", "tile"])
def test_a_wide_photo_keeps_its_size_and_changes_everywhere(tmp_path, generator_folder, fit):
    picture(400, 100).save(tmp_path / "a.png")
    assert (
        protect(
            tmp_path / "a.png",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
            "--resize-mode",
            fit,
        )
        == 0
    )
    change = np.asarray(Image.open(tmp_path / "out" / "a.png")).astype(int) - np.asarray(
        picture(400, 100)
    ).astype(int)
    assert change.shape == (100, 400, 3)
    assert all(np.abs(part).max() > 0 for part in np.array_split(change, 8, axis=1))


def shard(path, names, cut=None):
    with tarfile.open(path, "w") as archive:
        for index, name in enumerate(names):
            buffer = io.BytesIO()
            picture(seed=index).save(buffer, "JPEG", quality=95)
            picture_bytes = buffer.getvalue()[:300] if name == cut else buffer.getvalue()
            for ending, content in (
                ("jpg", picture_bytes),
                ("json", json.dumps({"caption": name}).encode()),
                ("cls", b"1"),
            ):
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_shards_in_shards_out_with_everything_else_in_them(tmp_path, generator_folder, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shard(tmp_path / "in" / "one.tar", ["a", "b"])
    shard(tmp_path / "in" / "deep" / "two.tar", ["c", "d", "e"], cut="d")
    picture().save(tmp_path / "in" / "loose.png")
    assert protect(tmp_path / "in", "-o", tmp_path / "out", "--weights", generator_folder) == 1
    assert "two.tar, d.jpg: damaged, cut short" in capsys.readouterr().err
    with tarfile.open(tmp_path / "out" / "deep" / "two.tar") as archive:
        assert archive.getnames() == ["c.png", "c.json", "c.cls", "e.png", "e.json", "e.cls"]
        assert json.load(archive.extractfile("e.json")) == {"caption": "e"}
        after = np.asarray(Image.open(archive.extractfile("e.png"))).astype(int)
    buffer = io.BytesIO()
    picture(seed=2).save(buffer, "JPEG", quality=95)
    assert 0 < np.abs(after - np.asarray(Image.open(buffer)).astype(int)).max() <= 6
    assert set(rows(tmp_path / "out")) == {
        "one.tar/a.jpg",
        "one.tar/b.jpg",
        *(f"deep/two.tar/{n}.jpg" for n in "cde"),
        "loose.png",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no tar at all", "not an uncompressed tar file"),
        (b"", "not an uncompressed tar file"),
        ("escape", "leads out of the archive"),
    ],
)
def test_shards_that_are_refused(tmp_path, generator_folder, capsys, content, words):
    if content == "escape":
        shard(tmp_path / "x.tar", ["../../a"])
    else:
        (tmp_path / "x.tar").write_bytes(content)
    assert protect(tmp_path / "x.tar", "-o", tmp_path / "out", "--weights", generator_folder) == 2
    assert words in capsys.readouterr().err


def test_a_list_and_single_files(tmp_path, generator_folder, capsys):
    (tmp_path / "x").mkdir()
    for index, name in enumerate(("x/a.png", "x/b.jpg", "c.png")):
        picture(seed=index).save(tmp_path / name)
    (tmp_path / "list.txt").write_text("# mine\nx/a.png\n\nx/b.jpg\nc.png\n")
    assert (
        protect(tmp_path / "list.txt", "-o", tmp_path / "out", "--weights", generator_folder) == 0
    )
    assert {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")
    } == {"x/a.png", "x/b.png", "c.png"}
    two = [tmp_path / "c.png", tmp_path / "x" / "b.jpg"]
    assert protect(*two, "-o", tmp_path / "two", "--weights", generator_folder) == 0
    assert {path.name for path in (tmp_path / "two").glob("*.png")} == {"c.png", "b.png"}
    (tmp_path / "list.txt").write_text("gone.png\n")
    assert (
        protect(tmp_path / "list.txt", "-o", tmp_path / "three", "--weights", generator_folder) == 2
    )
    assert "gone.png does not exist" in capsys.readouterr().err
    (tmp_path / "music.mp3").touch()
    assert (
        protect(tmp_path / "music.mp3", "-o", tmp_path / "three", "--weights", generator_folder)
        == 2
    )
    assert "not an image by its name" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_kept_byte_by_byte(tmp_path, generator_folder):
    (tmp_path / "in").mkdir()
    name = os.fsdecode(b'caf\xe9, "1".png')
    picture(70, 60).save(tmp_path / "in" / name)
    command = [tmp_path / "in", "-o", tmp_path / "out", "--weights", generator_folder]
    assert protect(*command) == 0
    made = (tmp_path / "out" / name).stat().st_mtime_ns
    assert protect(*command, "--resume") == 0
    assert (tmp_path / "out" / name).stat().st_mtime_ns == made, "it is known to be done"


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_files(tmp_path, generator_folder, capsys):
    (tmp_path / "in").mkdir()
    for index in range(20):
        picture(400, 300, seed=index).save(tmp_path / "in" / f"{index:02d}.png")
    shard(tmp_path / "in" / "zz.tar", ["a", "b", "c"])
    (tmp_path / "in" / "07.png").write_text("not a picture")
    command = [
        "protect",
        str(tmp_path / "in"),
        "--weights",
        str(generator_folder),
        "--workers",
        "1",
        "--batch_size",
        "2",
    ]
    program = [sys.executable, "-m", "rid", *command, "-o", str(tmp_path / "cut")]
    process = subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list((tmp_path / "cut").glob("*.png"))) < 4 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # its workers, too
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cut").glob("*.png")}
    assert 4 <= len(kept) < 20
    assert run(main, [*command, "-o", str(tmp_path / "cut"), "--resize-mode", "tile"]) == 2
    assert "other settings or weights" in capsys.readouterr().err
    assert run(main, [*command, "-o", str(tmp_path / "cut")]) == 1
    assert run(main, [*command, "-o", str(tmp_path / "whole")]) == 1
    files = sorted(
        path.relative_to(tmp_path / "whole")
        for path in (tmp_path / "whole").rglob("*")
        if path.is_file()
    )
    assert files == sorted(
        path.relative_to(tmp_path / "cut")
        for path in (tmp_path / "cut").rglob("*")
        if path.is_file()
    )
    for name in files:
        if name.name != "manifest.json" and name.suffix != ".tar":
            assert (tmp_path / "whole" / name).read_bytes() == (
                tmp_path / "cut" / name
            ).read_bytes(), name
    # Photos are done in order. The last may lack its line in the table, and is done again.
    untouched = sorted(kept)[:-1]
    assert all((tmp_path / "cut" / name).stat().st_mtime_ns == kept[name] for name in untouched)
