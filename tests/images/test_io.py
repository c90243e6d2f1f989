import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.io import Photo, UnreadableImage, find_pictures, open_photo, save_png, to_levels


@given(st.integers(0, 255))
def test_levels_survive_the_way_to_floats_and_back(level):
    assert to_levels(torch.tensor([level / 255])).item() == level


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 30000, np.uint16)).save(tmp_path / "deep.png")
    assert np.all(open_photo(tmp_path / "deep.png").rgb == 30000 // 256)


def test_a_palette_with_transparency_keeps_it(tmp_path):
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0] * 256)
    image.save(tmp_path / "p.png", transparency=0)
    photo = open_photo(tmp_path / "p.png")
    assert photo.rgb[0, 0].tolist() == [255, 0, 0]
    assert photo.alpha is not None
    assert photo.alpha.max() == 0


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImage, match="more than 1,000 pixels"):
        open_photo(tmp_path / "bomb.png")


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="disk full"):
        save_png(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_hidden_files_and_other_files_are_told_apart(tmp_path):
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    pictures, others = find_pictures(tmp_path)
    assert [path.name for path in pictures] == ["a.jpg", "b.PNG"]
    assert [path.name for path in others] == ["notes.txt"]
