"""AVIF, GIF, and HEIC with its optional library."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from images import pillow
from images.headers import read_header
from images.io import decode_photo, open_photo
from images.kinds import UnreadableImage, header_size, image_codec
from images.media_boxes import read_properties
from tests.images.files import drawn, saved


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def heic(size=(90, 70), brands=b"heic\0\0\0\0mif1heic"):
    """The head of a HEIC file: brands and the size of its image."""
    sizes = box(b"ispe", struct.pack(">3I", 0, *size)) + box(b"ispe", struct.pack(">3I", 0, 9, 7))
    meta = bytes(4) + box(b"hdlr", bytes(24)) + box(b"iprp", box(b"ipco", sizes))
    return box(b"ftyp", brands) + box(b"meta", meta) + box(b"mdat", bytes(50))


def test_avif_is_read_with_its_notes_and_alpha():
    exif = Image.Exif()
    exif[0x0131] = "a program"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = saved(drawn(), "AVIF", quality=95, exif=exif, icc_profile=icc)
    assert image_codec(content) == "avif"
    assert header_size(content) == (90, 70)
    assert read_header(content).codec == "avif"
    photo = decode_photo(content)
    assert photo.notes == ()
    assert b"a program" in photo.metadata.exif
    assert photo.icc == icc
    difference = np.abs(photo.rgb.astype(int) - np.asarray(drawn()).astype(int))
    assert difference.mean() < 4
    clear = decode_photo(saved(drawn().convert("RGBA"), "AVIF"))
    assert clear.alpha is None or clear.alpha.min() == 255


def test_a_turned_avif_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_photo(saved(drawn(), "AVIF", exif=exif)).rgb.shape == (90, 70, 3)


def test_an_avif_with_frames_is_refused():
    content = saved(drawn(), "AVIF", save_all=True, append_images=[drawn(seed=1)])
    with pytest.raises(UnreadableImage, match="has 2 frames"):
        decode_photo(content)


def test_colors_of_avif_that_are_not_converted_are_said():
    content = saved(drawn(), "AVIF")
    place = content.index(b"nclx") + 4
    for codes, words in (
        ((9, 16), "its high dynamic range (PQ) is not converted, so its colors are off"),
        ((12, 13), "its wide color gamut without a profile is read as sRGB"),
    ):
        changed = content[:place] + struct.pack(">2H", *codes) + content[place + 4 :]
        assert decode_photo(changed).notes == (words,)
    deep = bytearray(content)
    start = deep.index(b"pixi") + 4
    deep[start + 5 : start + 8] = bytes([10, 10, 10])
    assert read_properties(io.BytesIO(bytes(deep))).bits == 10


def test_the_first_frame_of_a_gif_is_read_and_said(tmp_path):
    frames = [drawn().quantize(), drawn(seed=1).quantize(), drawn(seed=2).quantize()]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "film.gif").write_bytes(content)
    photo = open_photo(tmp_path / "film.gif")
    assert photo.notes == ("the first of its 3 frames is read",)
    assert np.array_equal(photo.rgb, np.asarray(frames[0].convert("RGB")))
    assert header_size(content) == (90, 70)
    assert read_header(content).codec == "gif"
    assert decode_photo(saved(frames[0], "GIF")).notes == ()


def test_a_gifs_transparency_is_kept():
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4).convert("P")
    photo = decode_photo(saved(image, "GIF", transparency=2))
    assert sorted(set(photo.alpha.ravel())) == [0, 255]


def test_heic_names_its_library(tmp_path, monkeypatch):
    monkeypatch.setattr(pillow, "find_spec", lambda name: None)
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        content = heic(brands=brands)
        assert image_codec(content) == "heic"
        assert header_size(content) == (90, 70), "the largest, not the thumbnail"
        (tmp_path / "phone.HEIC").write_bytes(content)
        told = r"phone\.HEIC: a HEIC image; reading it needs pillow-heif: pip install -r requir"
        with pytest.raises(UnreadableImage, match=told):
            open_photo(tmp_path / "phone.HEIC")
        assert pillow.needs_heic(content)
    assert image_codec(heic(brands=b"mif1\0\0\0\0mif1avif")) == "avif"


def test_heic_is_read_where_its_library_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is optional")
    exif = Image.Exif()
    exif[0x010F] = "a phone"
    buffer = io.BytesIO()
    pillow_heif.register_heif_opener()
    drawn().save(buffer, format="HEIF", quality=95, exif=exif)
    photo = decode_photo(buffer.getvalue())
    assert photo.rgb.shape == (70, 90, 3)
    assert b"a phone" in photo.metadata.exif
    assert header_size(buffer.getvalue()) == (90, 70)
    assert read_header(buffer.getvalue()).codec == "heic"


def test_boxes_are_bounded():
    endless = box(b"ftyp", b"avif\0\0\0\0avif") + box(b"free", b"") * 5000
    with pytest.raises(UnreadableImage, match="no size in its header"):
        header_size(endless)
    many = box(b"ftyp", b"avif\0\0\0\0avif") + box(
        b"meta", bytes(4) + box(b"iprp", box(b"ipco", box(b"free", b"") * 5000))
    )
    with pytest.raises(ValueError, match="more boxes than an image has"):
        read_properties(io.BytesIO(many))
    large = heic(size=(60_000, 60_000))
    with pytest.raises(UnreadableImage, match="more than 300,000,000 pixels"):
        decode_photo(large)
