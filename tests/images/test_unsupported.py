"""Refused and partly read files: frames, previews, damaged notes, cut files."""

import io
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import TiffImagePlugin

from images.io import (
    decode_photo,
    encode_photo,
    open_photo,
)
from images.kinds import UnreadableImage, header_size
from tests.images.files import chunk, drawn, saved, with_chunks

ROOT = Path(__file__).parents[2]
CASES = next(
    (folder for parent in ROOT.parents if (folder := parent / "shared/cases/pictures").is_dir()),
    None,
)
KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")


def frames(kind, count=3, **options):
    return saved(
        drawn(),
        kind,
        save_all=True,
        append_images=[drawn(seed=seed) for seed in range(1, count)],
        **options,
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_file_of_several_frames_is_refused_by_name(kind, tmp_path):
    (tmp_path / "a.png").write_bytes(frames(kind))
    with pytest.raises(
        UnreadableImage,
        match=r"a\.png: has [23] frames or pages; save each",
    ):
        open_photo(tmp_path / "a.png")
    assert decode_photo(frames(kind, 1)).rgb.shape == (70, 90, 3)


def with_types(content, types):
    """An MPO whose further images are of other types."""
    start = content.index(b"MPF\0") + 4
    (count,) = struct.unpack_from("<H", content, start + 8)
    entries = {
        struct.unpack_from("<H", content, start + 10 + 12 * n)[0]: start + 10 + 12 * n
        for n in range(count)
    }
    place = start + struct.unpack_from("<L", content, entries[0xB002] + 8)[0]
    for number, kind in enumerate(types, 1):
        at = place + 16 * number
        content = content[:at] + struct.pack("<L", kind) + content[at + 4 :]
    return content


def test_previews_and_maps_in_a_phones_photo_are_left_out_and_said():
    photo = frames("MPO")
    # undefined, as phones say of maps of depth and light, and large thumbnails
    for kinds_ in (
        (0, 0),
        (0x010001, 0x010002),
    ):
        opened = decode_photo(with_types(photo, kinds_))
        assert np.array_equal(opened.rgb, decode_photo(saved(drawn(), "JPEG")).rgb)
        assert opened.notes == (
            "2 further images in the file (preview, depth or gain map) left out",
        )
    for kind in (0x020001, 0x020002, 0x020003):  # panorama, stereo, several angles
        with pytest.raises(UnreadableImage, match="has 2 frames"):
            decode_photo(with_types(photo, (kind, 0)))


def test_a_small_copy_in_a_tiff_is_left_out_and_a_camera_raw_is_refused():
    def pages(first, second):
        infos = []
        for value in (first, second):
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = value
            infos.append(tags)
        buffer = io.BytesIO()
        other = drawn(20, 16)
        other.encoderinfo = {"tiffinfo": infos[1]}
        drawn().save(buffer, "TIFF", save_all=True, append_images=[other], tiffinfo=infos[0])
        return buffer.getvalue()

    photo = decode_photo(pages(0, 1))
    assert photo.rgb.shape == (70, 90, 3)
    assert photo.notes == ("1 further image in the file (preview, depth or gain map) left out",)
    with pytest.raises(UnreadableImage, match="camera raw"):
        decode_photo(pages(1, 0))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\0\0"
    tags.tagtype[50706] = 1
    with pytest.raises(UnreadableImage, match="camera raw"):
        decode_photo(saved(drawn(), "TIFF", tiffinfo=tags))


def broken(part):
    return part[:-1] + bytes([part[-1] ^ 1])


def test_damaged_notes_are_dropped_and_the_rest_is_kept():
    plain = saved(drawn(), "PNG")
    whole = chunk(b"tEXt", b"Copyright\0(c) Example")
    for damaged in (
        broken(chunk(b"tEXt", b"Comment\0words")),
        broken(chunk(b"iCCP", b"icc\0\0" + bytes(90))),
        broken(chunk(b"gAMA", bytes(4))),
    ):
        photo = decode_photo(with_chunks(plain, whole, damaged))
        assert np.array_equal(photo.rgb, np.asarray(drawn()))
        assert photo.metadata.texts == {"Copyright": "(c) Example"}
        assert "damaged metadata" in photo.notes[-1]
    # whole, and without sense
    for damaged in (
        chunk(b"zTXt", b"Comment\0\x07words"),
        chunk(b"gAMA", b"\0"),
    ):
        photo = decode_photo(with_chunks(plain, whole, damaged))
        assert np.array_equal(photo.rgb, np.asarray(drawn()))
        assert "damaged metadata" in photo.notes[-1]
    with pytest.raises(UnreadableImage, match=r"has \d frames"):
        decode_photo(with_chunks(frames("PNG"), chunk(b"zTXt", b"Comment\0\x07words")))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_is_cut_short_is_refused(kind):
    content = saved(drawn(), kind)
    with pytest.raises(UnreadableImage, match=r"^x: .*get a complete copy"):
        decode_photo(content[: len(content) * 2 // 3], "x")


def test_warnings_of_the_decoder_are_notes_in_every_thread(tmp_path):
    content = saved(drawn(), "PNG")
    content = with_chunks(content, chunk(b"acTL", struct.pack(">2I", 0, 0)))
    found = []

    def decode():
        for _ in range(20):
            found.append(decode_photo(content).notes)

    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=decode) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters[0][0] == "error", "as it was before"
    assert (
        found
        == [("the decoder warned: Invalid APNG, will use default PNG image if possible",)] * 80
    )
    assert list(warnings.filters) == filters


RIGHT = {
    "animated.png": "has 3 frames",
    "cmyk-with-profile.jpg": ("CMYK was converted to sRGB through its color profile",),
    "exif-damaged.jpg": ("its EXIF is damaged and was dropped",),
    "exif-notes.tif": (),
    "icc-garbage.png": ("its color profile is damaged and was dropped",),
    "photo.avif": (),
    "photo.jfif": (),
    "postscript-named.png": "its content is PostScript",
    "thin-60000x1.png": (),
}


@pytest.mark.skipif(CASES is None, reason="the collected cases are not beside the project")
@pytest.mark.parametrize("name", RIGHT)
def test_the_collected_cases(name):
    if isinstance(RIGHT[name], str):
        with pytest.raises(UnreadableImage, match=RIGHT[name]):
            open_photo(CASES / name)
    else:
        photo = open_photo(CASES / name)
        assert photo.notes == RIGHT[name]
        assert np.array_equal(decode_photo(encode_photo(photo)).rgb, photo.rgb)
        assert header_size(CASES / name) == photo.rgb.shape[1::-1]
