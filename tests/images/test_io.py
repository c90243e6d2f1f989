"""Decoding: one image a file, supported formats only, in bounded memory."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images import kinds
from images.headers import read_header
from images.io import (
    clamp_to_budget,
    decode_photo,
    encode_photo,
    list_images,
    open_photo,
    save_png,
    to_uint8,
)
from images.kinds import UnreadableImage, header_size
from images.photo import Photo
from images.uploads import open_upload
from tests.images.files import bomb, drawn, saved

ROOT = Path(__file__).parents[2]
CASES = next(
    (folder for parent in ROOT.parents if (folder := parent / "shared/cases/pictures").is_dir()),
    None,
)
KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")


@given(st.integers(0, 255))
def test_levels_survive_the_way_to_floats_and_back(level):
    assert to_uint8(torch.tensor([level / 255])).item() == level


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 24])
def test_levels_within_a_budget(monkeypatch, at_once):
    monkeypatch.setattr("images.io.VALUES_AT_ONCE", at_once)
    original = Photo(np.asarray(drawn())).tensor()
    changed = (
        original + torch.randn(original.shape, generator=torch.Generator().manual_seed(0)) * 0.03
    )
    levels = clamp_to_budget(changed, original, 6.9)
    expected = (changed.clamp(0, 1) * 255).round().short()
    before = torch.from_numpy(np.asarray(drawn()).copy()).permute(2, 0, 1).short()
    assert torch.equal(levels.short(), expected.clamp(before - 6, before + 6))
    assert torch.equal(levels, clamp_to_budget(changed, before.byte(), 6.9))
    assert levels.stride() == changed.stride()


def test_a_part_of_a_photo_as_a_tensor():
    photo = Photo(np.asarray(drawn()))
    whole = photo.tensor()
    assert torch.equal(whole, torch.from_numpy(photo.rgb.copy()).permute(2, 0, 1).float() / 255)
    assert torch.equal(photo.tensor(slice(10, 30), slice(5, 25)), whole[:, 10:30, 5:25])


def test_a_palette_with_transparency_keeps_it(tmp_path):
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0] * 256)
    image.save(tmp_path / "p.png", transparency=0)
    photo = open_photo(tmp_path / "p.png")
    assert photo.rgb[0, 0].tolist() == [255, 0, 0]
    assert photo.alpha is not None
    assert photo.alpha.max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_bytes_and_streams_are_one(tmp_path, kind):
    content = saved(drawn(), kind)
    (tmp_path / "a").write_bytes(content)

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    rgb = decode_photo(tmp_path / "a").rgb
    for source in (content, io.BytesIO(content), Pipe(content)):
        assert np.array_equal(decode_photo(source).rgb, rgb)
    assert header_size(content) == header_size(tmp_path / "a") == (90, 70)


def test_only_the_promised_formats_are_ever_tried(tmp_path):
    words = {
        "PPM": "not a valid image file",
        "ICO": "its content is icon",
        "TGA": "not a valid image file",
        "JPEG2000": "its content is JPEG 2000",
        "EPS": "its content is PostScript",
        "PDF": "its content is PDF",
        "DDS": "not a valid image file",
    }
    for kind, told in words.items():
        for name in ("x.png", "x.tif"):
            (tmp_path / name).write_bytes(saved(drawn(), kind))
            with pytest.raises(UnreadableImage, match=told):
                open_photo(tmp_path / name)
            with pytest.raises(UnreadableImage, match=told):
                open_upload(tmp_path / name)
        assert read_header(saved(drawn(), kind)) is None
        with pytest.raises(UnreadableImage, match=f"^in an archive: .*{told}"):
            decode_photo(io.BytesIO(saved(drawn(), kind)), "in an archive")
        with pytest.raises(UnreadableImage, match=told):
            header_size(saved(drawn(), kind))


def test_no_interpreter_is_started_for_postscript(tmp_path):
    """A program named gs stands first in the path and says when it is started."""
    spy = tmp_path / "gs"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    script = tmp_path / "a.png"
    script.write_bytes(saved(drawn(), "EPS"))
    program = (
        "import sys; from pathlib import Path; from PIL import Image; "
        "from images.io import open_photo\n"
    )
    run = {
        "capture_output": True,
        "text": True,
        "cwd": ROOT,
        "env": os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    }
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from PIL import Image; import sys; Image.open(sys.argv[1]).load()",
            script,
        ],
        check=False,
        **run,
    )
    assert (tmp_path / "started").exists(), "the spy works"
    (tmp_path / "started").unlink()
    done = subprocess.run(
        [sys.executable, "-c", program + "open_photo(Path(sys.argv[1]))", script],
        check=False,
        **run,
    )
    assert "its content is PostScript" in done.stderr
    assert not (tmp_path / "started").exists()


def test_names_do_not_matter_but_those_of_formats_that_are_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(drawn(), "JPEG"))
    assert open_photo(tmp_path / "a.png").rgb.shape == (70, 90, 3)
    for name in ("a.jfif", "a.JPE"):
        (tmp_path / name).write_bytes(saved(drawn(), "JPEG"))
    for name in ("a.JXL", "a.psd", "a.jp2"):
        (tmp_path / name).write_bytes(saved(drawn(), "JPEG"))
        with pytest.raises(
            UnreadableImage, match=rf"a\.\w+: \.{name[2:]} files are not supported; convert it to"
        ):
            open_photo(tmp_path / name)
    assert len(list_images(tmp_path)[0]) == 6
    with pytest.raises(UnreadableImage, match=r"gone\.png: No such file"):
        open_photo(tmp_path / "gone.png")
    with pytest.raises(UnreadableImage, match="Is a directory"):
        open_photo(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(kinds, "MAX_PIXELS", 1000)
    for kind in KINDS:
        (tmp_path / "bomb.png").write_bytes(saved(Image.new("RGB", (64, 64)), kind))
        with pytest.raises(
            UnreadableImage,
            match=r"bomb\.png: 64 by 64 pixels, more than 1,000 pixels; scale it down",
        ):
            open_photo(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_read_without_decoding(kind):
    for size in ((1, 1), (90, 70), (1, 300), (3000, 2)):
        content = saved(drawn(*size), kind)
        assert header_size(content) == size
        assert header_size(content[: len(content) if kind == "TIFF" else 1000]) == size
    with pytest.raises(UnreadableImage, match=r"^x: damaged"):
        header_size(saved(drawn(), kind)[:13], "x")
    if kind == "WEBP":
        assert (
            header_size(saved(drawn(), kind, lossless=True))
            == header_size(saved(drawn(), kind, xmp=b"x"))
            == (90, 70)
        )


MEGAPIXELS = """
import resource, sys
from pathlib import Path
from images.io import decode_photo, encode_photo, clamp_to_budget
from images.metrics import amplify_change, max_change_and_psnr
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = decode_photo(Path(sys.argv[1]))
print(photo.rgb.shape, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)
encode_photo(photo), max_change_and_psnr(photo.rgb, photo.rgb), amplify_change(photo.rgb, photo.rgb)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)
"""


@pytest.mark.slow
def test_a_photo_of_a_phone_of_108_megapixels_is_decoded_in_bounded_memory(tmp_path):
    (tmp_path / "large.png").write_bytes(bomb(12000, 9000))
    command = [sys.executable, "-c", MEGAPIXELS, tmp_path / "large.png"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    shape, after = done.stdout.splitlines()
    assert shape.startswith("(9000, 12000, 3)")
    assert float(shape.split()[-1]) < 8.5 * 108, (
        "Pillow's four bytes a pixel, our three, and a band"
    )
    assert float(after) < 14 * 108


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="disk full"):
        save_png(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_what_jpeg_cannot_hold():
    with pytest.raises(ValueError, match="transparency, which JPEG cannot hold"):
        encode_photo(Photo(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)), "jpeg")
    with pytest.raises(ValueError, match="longer than 65500 pixels"):
        encode_photo(Photo(np.zeros((1, 65501, 3), np.uint8)), "jpeg")


def test_hidden_files_and_other_files_are_told_apart(tmp_path):
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    pictures, others = list_images(tmp_path)
    assert [path.name for path in pictures] == ["a.jpg", "b.PNG"]
    assert [path.name for path in others] == ["notes.txt"]


def test_hidden_folders_are_left_out_and_links_to_folders_followed(tmp_path):
    root = tmp_path / "people"
    for name in ("a/1.png", "a/.thumbnails/1.png", ".Trash-0/1.png", "../elsewhere/deep/2.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "a" / "again").symlink_to(root / "a")
    images, others = list_images(root)
    assert [path.relative_to(root).as_posix() for path in images] == ["a/1.png", "b/deep/2.png"]
    assert others == [root / "a" / "again", root / "b" / "back"], "loops are named, not followed"
    (root / "lost.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"lost\.png: a link to nothing"):
        list_images(root)


def test_opening_needs_neither_torch_nor_other_decoders():
    program = (
        "import sys, images.io, images.inputs, images.uploads; "
        "print([m for m in sys.modules if m in sys.argv[1:]])"
    )
    unwanted = (
        "torch",
        "torchvision",
        "scipy",
        "PIL.EpsImagePlugin",
        "PIL.PsdImagePlugin",
        "torchmetrics",
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *unwanted],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match=r"a\.png: not a file, but a pipe"):
        open_photo(tmp_path / "a.png")
    with pytest.raises(OSError, match="not a file, but a pipe"):
        header_size(tmp_path / "a.png")
