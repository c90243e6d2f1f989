import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.identities import IdentityFolders, as_people
from datamodules.image_files import ImageFiles
from datamodules.order import PairedSampler
from datamodules.pairs import PairList, WithPairs
from images.transforms.squares import center_square


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


def test_so_many_people_with_so_many_pictures_each(tmp_path):
    for person in ("ann", "bob", "cid"):
        for index in range(5):
            picture(tmp_path / person / f"{index}.png", value=10 * index)
    people = IdentityFolders(
        str(tmp_path), size=16, train_pictures=2, reference_pictures=1, identities=2
    )
    assert [people[index]["name"] for index in range(len(people))] == ["ann", "bob"]
    assert people[1]["train"].shape[0] == 2
    assert torch.allclose(people[1]["reference"], torch.full((1, 3, 16, 16), 20 / 255))
    with pytest.raises(ValueError, match="3 persons, but 4 are asked for"):
        IdentityFolders(str(tmp_path), train_pictures=2, identities=4)
    with pytest.raises(ValueError, match="5 images, but 3 for the attack and 3 as reference"):
        IdentityFolders(str(tmp_path), train_pictures=3, reference_pictures=3)


def test_a_folder_of_each_person_is_attacked_and_the_others_are_references(tmp_path):
    for folder in ("set_A", "set_B", "set_C"):
        for index in range(3):
            picture(tmp_path / "ann" / folder / f"{index}.png", value=10 * "ABC".index(folder[-1]))
    people = IdentityFolders(str(tmp_path), 16, train_pictures=2, train_folder="set_B")
    assert [source.name for source in people[0]["sources"]] == ["set_B/0", "set_B/1"]
    assert (people[0]["reference"] * 255).round().unique().tolist() == [0, 20]
    with pytest.raises(ValueError, match="set_D: 0 images, but 2 for the attack are needed"):
        IdentityFolders(str(tmp_path), 16, train_pictures=2, train_folder="set_D")


def test_people_may_be_links_and_hidden_folders_are_nobody(tmp_path):
    for name in ("ann/1.png", "ann/2.png", ".Trash-0/1.png", ".Trash-0/2.png"):
        picture(tmp_path / "people" / name)
    for name in ("1.png", ".thumbnails/0.png", "2.png"):
        picture(tmp_path / "elsewhere" / name, value=10)
    (tmp_path / "people" / "bob").symlink_to(tmp_path / "elsewhere")
    people = IdentityFolders(str(tmp_path / "people"), size=16, train_pictures=1)
    assert [people[index]["name"] for index in range(len(people))] == ["ann", "bob"]
    assert [source.name for source in people[1]["sources"]] == ["1"]
    assert people[1]["reference"].shape[0] == 1


def test_people_that_cannot_be_used(tmp_path):
    picture(tmp_path / "flat.png")
    with pytest.raises(FileNotFoundError, match="one sub-folder of images per person"):
        IdentityFolders(str(tmp_path))
    picture(tmp_path / "ann" / "1.png")
    with pytest.raises(ValueError, match="1 images, but 6"):
        IdentityFolders(str(tmp_path))
    with pytest.raises(ValueError, match="data set of persons"):
        as_people([{"image": 0}])


@pytest.mark.parametrize(
    ("size", "expected"), [((1080, 1920), 512), ((200, 300), 512), ((512, 512), 512)]
)
def test_squares_are_cut_from_the_middle(size, expected):
    levels = np.linspace(0, 255, size[1]).round().astype(np.uint8)
    square = center_square(np.broadcast_to(levels[:, None], (*size, 3)), expected)
    assert square.shape == (3, expected, expected)
    assert square.mean().item() == pytest.approx(0.5, abs=0.01)
    assert square[0, 0, 0].item() == pytest.approx(1 - square[0, 0, -1].item(), abs=0.01)


def test_pairs_repeat_until_every_picture_has_one(tmp_path):
    picture(tmp_path / "s.png")
    picture(tmp_path / "a.png", value=106)
    (tmp_path / "pairs.json").write_text(
        json.dumps([{"source_path": "s.png", "attacked_path": "a.png"}])
    )
    both = WithPairs(
        [{"image": torch.zeros(3, 8, 8)}] * 3, PairList(str(tmp_path / "pairs.json"), size=8)
    )
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


def test_each_picture_of_a_pair_is_cropped_by_its_own_size(tmp_path):
    ramp = np.linspace(0, 200, 60).astype(np.uint8)
    wide = Image.fromarray(np.broadcast_to(ramp[None, :, None], (30, 60, 3)).copy())
    wide.save(tmp_path / "s.png")
    wide.crop((15, 0, 45, 30)).save(tmp_path / "a.png")
    (tmp_path / "pairs.json").write_text(
        json.dumps([{"source_path": "s.png", "attacked_path": "a.png"}])
    )
    pair = PairList(str(tmp_path / "pairs.json"), size=30)[0]
    assert torch.equal(pair["source"], pair["attacked"])


def test_pairs_from_shards(tmp_path):
    picture(tmp_path / "k.source.png")
    picture(tmp_path / "k.attacked.png", value=106)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind in ("source", "attacked"):
            archive.add(tmp_path / f"k.{kind}.png", f"deep/k.{kind}.png")
    for place in (tmp_path, tmp_path / "x.tar"):
        pair = PairList(str(place), size=8)[0]
        assert torch.allclose(255 * (pair["attacked"] - pair["source"]), torch.tensor(6.0))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "k.source.png", "k.source.png")
    with pytest.raises(ValueError, match="has no attacked version"):
        PairList(str(tmp_path / "x.tar"))


def test_the_papers_two_lists_are_read_as_they_are(tmp_path):
    picture(tmp_path / "faces" / "n1" / "1.jpg", size=(60, 40))
    picture(tmp_path / "faces" / "n2" / "1.png", size=(20, 40))
    rows = [
        {"image_file": "faces/n1/1.jpg"},
        {"image_file": str(tmp_path / "faces" / "n2" / "1.png")},
    ]
    (tmp_path / "all.json").write_text(json.dumps(rows))
    pictures = ImageFiles([str(tmp_path / "all.json")], size=16)
    assert [pictures[index]["image"].shape for index in range(2)] == [(3, 16, 16)] * 2
    (tmp_path / "all.json").write_text('[{"file": 1}]')
    with pytest.raises(ValueError, match="objects with image_file"):
        ImageFiles([str(tmp_path / "all.json")])


def test_pairs_are_drawn_apart_from_pictures_and_resume_with_them():
    place = [0]
    sampler = PairedSampler(40, 7, 4, 3, lambda: place[0])
    first = list(sampler)
    assert {pair for _, pair in first} == set(range(7))
    place[0] = 3
    assert list(sampler) == first[12:]
    place[0] = 10
    second = dict(sampler)
    assert second != dict(first), "a picture meets other pairs in the next epoch"
