import json

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.identities import IdentityFolders, as_people
from datamodules.images import centre_square
from datamodules.pairs import PairList, WithPairs


def picture(path, size=(30, 40), value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_people_are_the_direct_sub_folders(tmp_path):
    for person in ("ann", "bob"):
        for index in range(2):
            picture(tmp_path / person / "set_A" / f"{index}.png")
            picture(tmp_path / person / "set_B" / f"{index}.png", value=10)
    people = IdentityFolders(str(tmp_path), size=16, train_pictures=2)
    assert [people[index]["name"] for index in range(len(people))] == ["ann", "bob"]
    assert people[0]["train"].shape == (2, 3, 16, 16)
    assert people[0]["reference"].mean() < people[0]["train"].mean()
    assert as_people(people) is people


def test_people_that_cannot_be_used(tmp_path):
    picture(tmp_path / "flat.png")
    with pytest.raises(FileNotFoundError, match="one sub-folder of pictures per person"):
        IdentityFolders(str(tmp_path))
    picture(tmp_path / "ann" / "1.png")
    with pytest.raises(ValueError, match="1 pictures, but 6"):
        IdentityFolders(str(tmp_path))
    with pytest.raises(ValueError, match="data set of persons"):
        as_people([{"image": 0}])


@pytest.mark.parametrize(("size", "expected"), [((1080, 1920), 512), ((200, 300), 512), ((512, 512), 512)])
def test_squares_are_cut_from_the_middle(size, expected):
    image = torch.linspace(0, 1, size[1]).expand(3, *size)
    square = centre_square(image, expected)
    assert square.shape == (3, expected, expected)
    assert square.mean().item() == pytest.approx(0.5, abs=0.01)
    assert square[0, 0, 0].item() == pytest.approx(1 - square[0, 0, -1].item(), abs=0.01)


def test_pairs_repeat_until_every_picture_has_one(tmp_path):
    picture(tmp_path / "s.png")
    picture(tmp_path / "a.png", value=106)
    (tmp_path / "pairs.json").write_text(json.dumps([{"source_path": "s.png", "attacked_path": "a.png"}]))
    both = WithPairs([{"image": torch.zeros(3, 8, 8)}] * 3, PairList(str(tmp_path / "pairs.json"), size=8))
    assert len(both) == 3
    item = both[2]
    assert set(item) == {"image", "source", "attacked"}
    assert torch.allclose(255 * (item["attacked"] - item["source"]), torch.tensor(6.0))


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "empty"), ("{", "JSON list"), ('[{"source_path": "s.png"}]', "attacked_path")],
)
def test_bad_pair_lists(tmp_path, text, words):
    (tmp_path / "pairs.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        PairList(str(tmp_path / "pairs.json"))


def test_pairs_of_two_sizes_are_refused(tmp_path):
    picture(tmp_path / "s.png")
    picture(tmp_path / "a.png", size=(31, 40))
    (tmp_path / "pairs.json").write_text(json.dumps([{"source_path": "s.png", "attacked_path": "a.png"}]))
    with pytest.raises(ValueError, match="not the size of its source"):
        PairList(str(tmp_path / "pairs.json"))[0]
