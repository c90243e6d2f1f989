"""Images from Python are decoded as the commands decode their files, whichever form they have."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from images.given import ChangedImage, from_pillow, given_images, to_pillow
from images.io import open_photo
from images.kinds import UnreadableImage
from images.marks import Mark
from images.photo import Photo

RGB = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


@pytest.fixture
def file(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_every_form_gives_the_same_values(file):
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)
    forms = [
        file,
        str(file),
        Image.open(file),
        Image.fromarray(RGB),
        RGB,
        tensor,
        tensor.float() / 255,
        Photo(RGB),
    ]
    given = given_images(forms)
    assert all((image.photo.rgb == RGB).all() for image in given)
    assert [image.name for image in given][:3] == [str(file), str(file), "image 3"]
    assert len({image.sha256 for image in given[2:]}) == 1


@pytest.mark.parametrize(
    "single", [RGB, Image.fromarray(RGB), torch.from_numpy(RGB).permute(2, 0, 1), Photo(RGB)]
)
def test_one_image_needs_no_list(single):
    assert len(given_images(single)) == 1


def test_batches_are_taken_apart():
    batch = torch.rand(3, 3, 8, 9)
    assert [image.photo.rgb.shape for image in given_images(batch)] == [(8, 9, 3)] * 3
    assert len(given_images(RGB[None])) == 1
    assert given_images([]) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.rand(3, 8, 8) * 2 - 1, "give floats in"),
        (torch.full((3, 8, 8), float("nan")), "give floats in"),
        (torch.rand(8, 8, 3), r"give \(3, H, W\)"),
        (torch.rand(8, 8), r"give \(3, H, W\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "an array of int64"),
        (RGB.astype(np.float32), r"give \(H, W, 3\) of uint8"),
        (RGB[..., 0], r"give \(H, W, 3\) of uint8"),
        ([RGB, RGB[:0]], "image 2: "),
    ],
)
def test_other_shapes_and_ranges_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        given_images(wrong)


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="image 1: a int is not an image"):
        given_images([3])


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_pillow_images_of_other_modes_are_as_their_files(mode, tmp_path):
    image = (
        Image.fromarray(RGB).convert("L").convert("I").point(lambda v: v * 257).convert("I;16")
        if mode == "I;16"
        else None
    )
    image = image or Image.fromarray(RGB).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    photo = from_pillow(image)
    from_file = open_photo(path)
    assert (photo.rgb == from_file.rgb).all()
    assert (photo.alpha is None) == (from_file.alpha is None)


def test_pillow_images_are_turned_upright_and_stay_as_they_are(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", exif=exif)
    image = Image.open(buffer)
    assert from_pillow(image).rgb.shape == (31, 24, 3)
    assert image.getexif()[274] == 6


def test_values_of_no_known_range_and_damaged_files_are_named(tmp_path):
    with pytest.raises(UnreadableImage, match="no known range"):
        from_pillow(Image.fromarray(RGB[..., 0]).convert("F"))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    with pytest.raises(UnreadableImage, match=r"^image 1: "):
        given_images(Image.open(io.BytesIO(buffer.getvalue()[:200])))


def test_marks_survive_pillow():
    mark = Mark("protect", "a", "b", 6)
    photo = Photo(RGB, alpha=RGB[..., 0]).marked(mark)
    assert to_pillow(photo).mode == "RGBA"
    assert from_pillow(to_pillow(photo)).metadata.marks == (mark,)


def test_changed_images_are_saved_losslessly_or_not_at_all(tmp_path):
    changed = ChangedImage("image 1", Photo(RGB), 3, 40.0, 0.9)
    changed.save(tmp_path / "b.PNG")
    assert (open_photo(tmp_path / "b.PNG").rgb == RGB).all()
    assert changed.image.size == (31, 24)
    assert torch.equal(changed.tensor() * 255, torch.from_numpy(RGB).permute(2, 0, 1).float())
    with pytest.raises(ValueError, match=r"end the name in \.png"):
        changed.save(tmp_path / "b.jpg")
