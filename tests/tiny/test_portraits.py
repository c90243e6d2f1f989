from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny.dataset import PortraitDataset, PortraitPeople
from tiny.identity import EVALUATION_START, Identity, identity, phrases
from tiny.portraits import draw
from tiny.scene import scene


@settings(max_examples=10)
@given(person=st.integers(0, 2_000_000), picture=st.integers(0, 99), others=st.integers(0, 5))
def test_a_picture_depends_on_its_numbers_alone(person, picture, others):
    alone = draw([person], [picture]).images[0]
    among = draw([person, *range(others)], [picture, *range(others)]).images[0]
    assert torch.allclose(alone, among, atol=1e-6)
    assert alone.min() >= 0
    assert alone.max() <= 1


def test_a_person_has_at_least_twelve_lasting_attributes():
    assert len(fields(Identity)) - 1 >= 12


def test_pictures_of_a_person_differ_and_people_differ():
    images = draw([5, 5, 6], [0, 1, 0]).images
    assert (images[0] - images[1]).abs().mean() > 0.02
    assert (images[0] - images[2]).abs().mean() > 0.02
    assert identity(5) == identity(5)
    assert identity(5) != identity(6)


@pytest.mark.parametrize("size", [64, 100, 512])
def test_any_size(size):
    drawn = draw([3], [0], size)
    assert drawn.images.shape == (1, 3, size, size)
    assert torch.equal(drawn.boxes, draw([3], [0], 64).boxes)
    x, y, width, height = (drawn.boxes[0] * size).tolist()
    face = drawn.images[
        0, :, int(y - height / 4) : int(y + height / 4), int(x - width / 4) : int(x + width / 4)
    ].mean(dim=(1, 2))
    x, y, width, height = (drawn.boxes[0] * 64).tolist()
    small = draw([3], [0], 64).images[
        0, :, int(y - height / 4) : int(y + height / 4), int(x - width / 4) : int(x + width / 4)
    ]
    assert (face - small.mean(dim=(1, 2))).abs().max() < 0.03, "the same face at any size"


@pytest.mark.parametrize("size", [63, 513])
def test_sizes_out_of_range(size):
    with pytest.raises(ValueError, match="64 to 512 pixels"):
        draw([0], [0], size)


def test_captions_say_only_what_is_true():
    drawn = draw(range(200), [0] * 200)
    said = 0
    for caption, person, view in zip(drawn.captions, drawn.people, drawn.scenes, strict=True):
        assert caption.startswith("photo of a person")
        for colour in ("black", "brown", "blond", "red", "grey"):
            if f" {colour} hair" in caption:
                assert person.hair_colour == colour
                said += 1
        assert ("glasses" not in caption) or person.glasses != "none"
        assert ("beard" not in caption) or person.beard == "full"
        assert ("a smile" not in caption) or view.smile > 0.5
    assert said > 20
    assert sum(caption == "photo of a person" for caption in drawn.captions) > 20


def test_phrases_of_a_bald_head_name_no_hair_colour():
    bald = next(identity(n) for n in range(200) if identity(n).hair_style == "bald")
    assert "a bald head" in phrases(bald)
    assert not any("hair" in phrase for phrase in phrases(bald))


def test_an_empty_scene_has_no_face():
    drawn = draw([1], [0], empty=True)
    assert drawn.boxes.sum() == 0
    assert (drawn.images - draw([1], [0]).images).abs().mean() > 0.05


def test_boxes_hold_the_face():
    for box in draw(range(30), [0] * 30).boxes.tolist():
        x, y, width, height = box
        assert 0 < x - width / 2 < x + width / 2 < 1
        assert 0 <= y - height / 2 < y + height / 2 <= 1


def test_training_and_evaluation_people_do_not_mix():
    with pytest.raises(ValueError, match="mix training"):
        PortraitDataset(EVALUATION_START - 1, 2, 1)
    with pytest.raises(ValueError, match="whole number >= 0"):
        identity(-1)


def test_every_shipped_recipe_trains_on_training_people_only():
    from tiny.train_sources import TRAINING_PEOPLE, VALIDATION_FIRST

    assert TRAINING_PEOPLE < VALIDATION_FIRST < EVALUATION_START


def test_people_are_split_into_attacked_and_reference_pictures():
    people = PortraitPeople(EVALUATION_START, 2, train_pictures=2, reference_pictures=3)
    person = people[1]
    assert person["name"] == "1000001"
    assert person["train"].shape == (2, 3, 64, 64)
    assert torch.equal(person["reference"], draw([1_000_001] * 3, [2, 3, 4]).images)
    with pytest.raises(IndexError):
        people[2]


def test_scenes_differ_between_pictures():
    assert scene(4, 0) != scene(4, 1)
    assert scene(4, 0) == scene(4, 0)
