"""Colours of decoded images are what a viewer shows."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from images.io import decode_photo, encode_photo, without_metadata
from images.kinds import UnreadableImage
from images.profiles import rgb_profile
from tests.images.files import chunk, drawn, png, profile, saved, with_chunks

SRGB = ImageCms.createProfile("sRGB")


def shown(content, icc=None):
    """What a viewer makes of a file, in sRGB."""
    with Image.open(io.BytesIO(content)) as image:
        icc = icc or image.info.get("icc_profile")
        if icc is None:
            return np.asarray(image.convert("RGB")).astype(int)
        own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return np.asarray(ImageCms.profileToProfile(image, own, SRGB, outputMode="RGB")).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(kind):
    content = saved(drawn().convert("CMYK"), kind, icc_profile=profile("CMYK"))
    photo = decode_photo(content)
    assert np.array_equal(photo.rgb, shown(content))
    assert photo.icc is None
    assert photo.notes == ("CMYK was converted to sRGB through its color profile",)
    with Image.open(io.BytesIO(content)) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - photo.rgb).max() > 15, (
            "the simple formula is wrong"
        )


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("LA", "TIFF"), ("1", "PNG")]
)
def test_grey_goes_through_its_profile(mode, kind):
    image = drawn().convert("L")
    if mode == "LA":
        image.putalpha(Image.new("L", image.size, 77))
    content = saved(image.convert(mode), kind, icc_profile=profile("GRAY"))
    photo = decode_photo(content)
    with Image.open(io.BytesIO(content)) as reopened:
        grey = saved(reopened.convert("L"), "PNG")
    assert np.array_equal(photo.rgb, shown(grey, profile("GRAY")))
    assert photo.alpha is None if mode != "LA" else (photo.alpha == 77).all()
    assert photo.notes == ("gray was converted to sRGB through its color profile",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_an_rgb_profile_and_its_values_are_kept(mode, kind):
    wide = rgb_profile((0.3127, 0.329, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1 / 1.8)
    content = saved(drawn().convert(mode), "PNG", icc_profile=wide)
    photo = decode_photo(content)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(photo.rgb, np.asarray(image.convert("RGB")))
    assert (photo.icc, photo.notes) == (wide, ())
    if photo.alpha is None:
        assert decode_photo(encode_photo(photo, kind)).icc == wide
    assert np.abs(without_metadata(photo).rgb.astype(int) - photo.rgb).max() > 10
    flat = saved(drawn().convert(mode).convert("RGB"), "PNG", icc_profile=wide)
    assert np.array_equal(without_metadata(photo).rgb, shown(flat))


@pytest.mark.parametrize("icc", [b"\x01" * 260, profile("RGB")[:300], profile("GRAY"), b""])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_that_is_of_no_use_is_dropped(icc, kind):
    photo = decode_photo(saved(drawn(), kind, icc_profile=icc))
    assert photo.icc is None
    if icc:
        assert ["profile" in note and "dropped" in note for note in photo.notes] == [True]
    assert without_metadata(photo).rgb.shape == photo.rgb.shape
    assert decode_photo(encode_photo(photo)).notes == ()


GAMMA = chunk(b"gAMA", struct.pack(">I", 100_000))
WIDE = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 73470, 26530, 15960, 84040, 3660, 10))


@pytest.mark.parametrize(
    "chunks", [(GAMMA,), (WIDE,), (GAMMA, WIDE), (chunk(b"cICP", bytes([12, 13, 0, 1])),)]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_what_a_png_says_of_its_colours_becomes_a_profile(chunks, mode, kind):
    content = with_chunks(saved(drawn().convert(mode), "PNG"), *chunks)
    photo = decode_photo(content)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(photo.rgb, np.asarray(image.convert("RGB"))), "values stay"
    assert photo.icc is not None
    kept = decode_photo(encode_photo(photo, kind))
    assert kept.icc == photo.icc


def test_that_profile_means_what_the_chunks_mean():
    photo = decode_photo(with_chunks(saved(drawn(), "PNG"), GAMMA))
    light = photo.rgb / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(without_metadata(photo).rgb - expected).max() < 1.01
    sixteen = decode_photo(
        with_chunks(saved(drawn(), "PNG"), chunk(b"gAMA", struct.pack(">I", 45455)))
    )
    expected = (
        np.where(light**2.2 <= 0.0031308, 12.92 * light**2.2, 1.055 * light ** (2.2 / 2.4) - 0.055)
        * 255
    )
    assert np.abs(without_metadata(sixteen).rgb - expected).max() < 1.01
    own = ImageCms.ImageCmsProfile(
        io.BytesIO(rgb_profile((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), None))
    )
    same = ImageCms.profileToProfile(drawn(), own, SRGB)
    assert np.abs(np.asarray(same).astype(int) - np.asarray(drawn())).max() <= 1, (
        "sRGB written out is sRGB"
    )


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ((chunk(b"sRGB", b"\0"), GAMMA, WIDE), None),
        ((chunk(b"cICP", bytes([1, 13, 0, 1])),), None),
        ((chunk(b"cICP", bytes([9, 16, 0, 1])),), "cICP"),
        ((chunk(b"gAMA", bytes(4)),), "gamma"),
        ((chunk(b"cHRM", bytes(32)),), "chromaticities"),
        ((chunk(b"cHRM", b"\xff" * 32),), "chromaticities"),
    ],
)
def test_what_a_png_says_is_srgb_or_makes_no_sense(chunks, note):
    photo = decode_photo(with_chunks(saved(drawn(), "PNG"), *chunks))
    assert photo.icc is None
    assert [note in told for told in photo.notes] == ([True] if note else [])


def test_lab_and_ycbcr():
    lab = ImageCms.buildTransform(SRGB, ImageCms.createProfile("LAB"), "RGB", "LAB")
    for image in (ImageCms.applyTransform(drawn(), lab), drawn().convert("YCbCr")):
        photo = decode_photo(saved(image, "TIFF"))
        assert np.abs(photo.rgb.astype(int) - np.asarray(drawn())).mean() < 2, image.mode


def test_sixteen_bits_are_scaled_and_it_is_said():
    for value in (30000, 65535, 255):
        photo = decode_photo(saved(Image.fromarray(np.full((4, 4), value, np.uint16)), "PNG"))
        assert np.all(photo.rgb == value // 256)
        assert photo.notes == ("16 bits a channel were reduced to 8",)
    colours = png([struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0, 65535, 257)], 16, 2)
    assert decode_photo(colours).rgb.tolist() == [[[0x12, 0x56, 0x9A], [0, 255, 1]]]
    assert decode_photo(colours).notes == ("16 bits a channel were reduced to 8",)


def test_a_tiff_in_which_zero_is_white():
    values = Image.fromarray(np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 0
    content = saved(values, "TIFF", tiffinfo=info)
    with Image.open(io.BytesIO(content)) as image:
        assert image.tag_v2[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] == 0
    assert (
        decode_photo(content).rgb[..., 0].tolist()
        == (255 - np.arange(0, 256, 16).reshape(4, 4)).tolist()
    )


@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_values_without_a_range_are_refused(kind):
    with pytest.raises(UnreadableImage, match="have no known range; save it with 8 or 16 bits"):
        decode_photo(saved(Image.fromarray(np.zeros((4, 4), kind)), "TIFF"))


@pytest.mark.parametrize(
    ("content", "alpha"),
    [
        (
            png(
                [struct.pack(">3H", 1000, 1001, 500)],
                16,
                0,
                chunk(b"tRNS", struct.pack(">H", 1001)),
            ),
            [255, 0, 255],
        ),
        (png([bytes([0b00011011])], 2, 0, chunk(b"tRNS", b"\0\1")), [255, 0, 255, 255]),
        (png([bytes([0x12, 0xF0])], 4, 0, chunk(b"tRNS", b"\0\x0f")), [255, 255, 0, 255]),
        (
            png([bytes([0b01000000])], 1, 0, chunk(b"tRNS", b"\0\1")),
            [255, 0, 255, 255, 255, 255, 255, 255],
        ),
        (
            png(
                [
                    struct.pack(
                        ">9H",
                        0x1234,
                        0x5678,
                        0x9ABC,
                        0x1235,
                        0x5678,
                        0x9ABC,
                        0x3400,
                        0x7800,
                        0xBC00,
                    )
                ],
                *(16, 2),
                chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)),
            ),
            [0, 255, 255],
        ),
        (
            png([bytes([1, 2, 3, 4, 5, 6])], 8, 2, chunk(b"tRNS", struct.pack(">3H", 4, 5, 6))),
            [255, 0],
        ),
    ],
)
def test_the_transparent_value_is_kept(content, alpha):
    photo = decode_photo(content)
    assert photo.alpha.tolist() == [alpha]
    assert np.array_equal(decode_photo(encode_photo(photo)).alpha, photo.alpha)


def test_a_text_named_transparency_is_a_text():
    content = with_chunks(
        saved(drawn(), "PNG"),
        *(chunk(b"tEXt", name + b"\0text") for name in (b"transparency", b"dpi", b"icc_profile")),
    )
    photo = decode_photo(content)
    assert photo.alpha is None
    assert photo.notes == ()
    assert set(photo.metadata.texts) == {"transparency", "dpi", "icc_profile"}


def test_a_large_image_is_converted_in_bands_to_the_same(monkeypatch):
    contents = [
        saved(drawn().convert("CMYK"), "JPEG", icc_profile=profile("CMYK")),
        saved(drawn().convert("P"), "PNG", transparency=3),
        saved(
            drawn(),
            "PNG",
            icc_profile=rgb_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 0.5),
        ),
    ]
    before = [decode_photo(content) for content in contents]
    plain = [without_metadata(photo).rgb for photo in before]
    monkeypatch.setattr("images.colors.BAND_PIXELS", 200)
    for content, photo, rgb in zip(contents, before, plain, strict=True):
        again = decode_photo(content)
        assert np.array_equal(again.rgb, photo.rgb)
        assert photo.alpha is None or np.array_equal(again.alpha, photo.alpha)
        assert np.array_equal(without_metadata(again).rgb, rgb)
