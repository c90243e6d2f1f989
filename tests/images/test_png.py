"""Plain PNG files decoded quickly and in part are what Pillow decodes whole."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from datamodules.streams import decode_view
from images.io import decode_photo
from images.kinds import UnreadableImage
from images.png import decode_rows, plain_size
from images.transforms.views import View, to_tensor


def picture(height, width, seed=0):
    small = np.random.default_rng(seed).integers(
        0, 255, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8
    )
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


@settings(max_examples=60)
@given(
    st.sampled_from(["crop", "resize_crop", "random_resized_crop", "tile_crop", "whole"]),
    *(st.integers(1, 120) for _ in range(2)),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_view_of_a_file_is_the_view_of_what_pillow_decodes(policy, height, width, random, seed):
    view = View(policy, size=32, resize=40, random=random, blur=0.3, jpeg=0.3)
    content = png(picture(height, width, seed))
    assert plain_size(content) == (height, width)
    whole = decode_photo(io.BytesIO(content), "x").rgb
    found, expected = (np.random.default_rng(seed) for _ in range(2))
    image_u8, size = decode_view(content, "x", view, found)
    assert size == (height, width)
    assert torch.equal(to_tensor(image_u8), view(whole, expected))
    assert found.bit_generator.state == expected.bit_generator.state


def test_upper_rows_alone():
    image = picture(90, 70)
    for rows in (1, 17, 90):
        assert np.array_equal(decode_rows(png(image), rows), np.asarray(image)[:rows])


def notes():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    return exif


def text(keyword):
    info = PngImagePlugin.PngInfo()
    info.add_text(keyword, "words")
    return info


@pytest.mark.parametrize(
    "content",
    [
        png(picture(20, 30).convert("L")),
        png(picture(20, 30).convert("P")),
        png(picture(20, 30).convert("RGBA")),
        png(Image.fromarray(np.full((20, 30), 300, np.uint16))),
        png(picture(20, 30), exif=notes()),
        png(picture(20, 30), transparency=(1, 2, 3)),
        png(picture(20, 30), pnginfo=text("Raw profile type exif")),
        png(picture(20, 30), pnginfo=text("XML:com.adobe.xmp")),
        png(picture(20, 30))[:-12],
        png(picture(20, 30))[:-400],
        png(picture(20, 30))[:20],
        b"GIF89a",
        b"",
    ],
)
def test_other_files_are_left_to_pillow(content):
    assert plain_size(content) is None


def test_notes_in_words_change_nothing():
    content = png(picture(20, 30), pnginfo=text("parameters"), icc_profile=b"x" * 200, dpi=(72, 72))
    assert plain_size(content) == (20, 30)


def test_a_turned_picture_is_turned():
    content = png(picture(20, 30), exif=notes())
    view = View("whole", size=8, resize=8)
    image_u8, size = decode_view(content, "x", view, np.random.default_rng(0))
    assert (image_u8.shape, size) == ((30, 20, 3), (30, 20))


def test_damage_is_told_where_it_matters():
    content = bytearray(png(picture(300, 300)))
    content[len(content) // 2] ^= 255
    view = View("crop", size=290, resize=290)
    with pytest.raises(UnreadableImage, match=r"^shard 3, picture 7: damaged"):
        decode_view(bytes(content), "shard 3, picture 7", view, np.random.default_rng(0))
    with pytest.raises(UnreadableImage):
        decode_view(
            bytes(content[:-400]), "x", View("crop", size=8, resize=8), np.random.default_rng(0)
        )
