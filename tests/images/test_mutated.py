"""Damaged files give an image or UnreadableImage, no other error, and no output."""

import contextlib
import io
import os
import random
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import PngImagePlugin

from images.containers import PNG_SIGNATURE, png_chunks
from images.headers import read_header
from images.io import decode_photo, encode_photo, without_metadata
from images.kinds import UnreadableImage, header_size, image_codec
from images.metadata import read_marks
from images.photo import Photo
from images.png import decode_rows, plain_size
from images.uploads import image_end
from tests.images.files import drawn, profile, saved
from tests.images.test_metadata import IPTC, MARKS, XMP, notes

CASES = 60
"""Files made of each whole one; HOSTILE asks for more."""


def whole_files():
    info = PngImagePlugin.PngInfo()
    info.add_text("Copyright", "(c) Example")
    info.add_itxt("Title", "words", zip=True)
    exif = notes().tobytes()
    icc = profile("RGB")
    plain = drawn(40, 30)
    marked = encode_photo(
        decode_photo(saved(plain, "JPEG", xmp=XMP, exif=exif, dpi=(72, 72))).marked(MARKS[0]),
        "jpeg",
    )
    return {
        "png": saved(plain, "PNG", pnginfo=info, exif=exif, icc_profile=icc),
        "palette.png": saved(plain.convert("P"), "PNG", transparency=3),
        "animated.png": saved(plain, "PNG", save_all=True, append_images=[drawn(40, 30, 1)]),
        "jpg": marked,
        "progressive.jpg": saved(plain, "JPEG", progressive=True, exif=exif),
        "cmyk.jpg": saved(plain.convert("CMYK"), "JPEG", icc_profile=profile("CMYK")),
        "mpo.jpg": saved(plain, "MPO", save_all=True, append_images=[drawn(20, 20, 1)]),
        "lossless.webp": saved(
            plain.convert("RGBA"), "WEBP", lossless=True, exif=exif, xmp=XMP, icc_profile=icc
        ),
        "webp": saved(plain, "WEBP"),
        "tif": saved(plain, "TIFF", exif=exif),
        "lzw.tif": saved(plain, "TIFF", compression="tiff_lzw", icc_profile=icc),
        "jpeg.tif": saved(plain, "TIFF", compression="jpeg"),
        "grey.tif": saved(
            plain.convert("L"), "TIFF", compression="packbits", icc_profile=profile("GRAY")
        ),
        "bmp": saved(plain, "BMP"),
        "palette.bmp": saved(plain.convert("P"), "BMP"),
    } | {
        "iptc.jpg": saved(
            plain,
            "JPEG",
            extra=b"\xff\xed\0\x2cPhotoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x10" + IPTC + b"\0",
        )
    }


def mutated(content, source):
    """Damage a file's bytes, in headers more often: cut, flip, overwrite, repeat, drop."""
    damaged = bytearray(content)
    for _ in range(source.choice([1, 1, 2, 4])):
        if not damaged:
            break
        place = source.randrange(min(len(damaged), source.choice([64, 400, len(damaged)])))
        match source.randrange(6):
            case 0:
                damaged[place] ^= 1 << source.randrange(8)
            case 1:
                damaged[place : place + 4] = source.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"]
                )
            case 2:
                damaged[place] = source.randrange(256)
            case 3:
                del damaged[place : place + source.randrange(1, 20)]
            case 4:
                damaged[place:place] = damaged[place : place + source.randrange(1, 40)]
            case 5:
                damaged = damaged[: max(place, 1)]
    return checked(bytes(damaged)) if source.random() < 0.5 else bytes(damaged)


def checked(content):
    """A PNG whose chunks' checksums are right again, so that what is damaged is read."""
    for kind, place, length in (
        png_chunks(io.BytesIO(content)) if content[:8] == PNG_SIGNATURE else ()
    ):
        end = place + length
        checksum = zlib.crc32(kind + content[place:end]).to_bytes(4, "big")
        content = content[:end] + checksum + content[end + 4 :]
    return content


def opened(content):
    """The image, or why it is none."""
    try:
        return decode_photo(content, "x"), ""
    except UnreadableImage as error:
        return None, str(error)


def handled(content):
    """Whether a file is an image; everything that looks at files looks at it."""
    read_header(content)
    read_marks(content)
    size = plain_size(content)
    if size is not None:
        with contextlib.suppress(RuntimeError):
            decode_rows(content, 1 + size[0] // 2)
    with contextlib.suppress(UnreadableImage):
        header_size(content)
        image_end(content, image_codec(content))
    photo, reason = opened(content)
    if photo is None:
        assert reason.startswith("x: ")
        assert "\n" not in reason
        return False
    assert photo.rgb.dtype == "uint8"
    assert photo.rgb.ndim == 3
    again = decode_photo(encode_photo(photo))
    assert (again.rgb == photo.rgb).all()
    assert again.notes == (), "what is saved is whole"
    if photo.alpha is None:
        decode_photo(encode_photo(photo, "jpeg"))
    assert isinstance(without_metadata(photo), Photo)
    return True


@pytest.mark.parametrize("name", list(whole_files()))
def test_mutated_files_are_images_or_refused(name, capfd):
    content = whole_files()[name]
    source = random.Random(name)
    assert handled(content) == (name != "animated.png")
    counts = [0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(int(os.environ.get("HOSTILE", CASES))):
            damaged = mutated(content, source)
            try:
                counts[handled(damaged)] += 1
            except BaseException:
                Path(f"/tmp/mutated-{name}").write_bytes(damaged)
                raise
    assert capfd.readouterr().err == ""
    assert name == "animated.png" or min(counts) > 0, "some are images still, some are not"


def test_nothing_is_said_of_a_damaged_file_by_a_program_of_its_own(tmp_path):
    """As the one above, without pytest's own handling of warnings and logs."""
    source = random.Random(0)
    for number, (name, content) in enumerate(whole_files().items()):
        for copy in range(4):
            (tmp_path / f"{number}-{copy}-{name}").write_bytes(mutated(content, source))
    program = """
import sys
from pathlib import Path
from images.io import open_photo
from images.kinds import UnreadableImage
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        open_photo(path)
    except UnreadableImage:
        pass
"""
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, "")
