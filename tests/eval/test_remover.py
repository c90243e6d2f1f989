"""Learned remover: trained on pairs made with the protection, saved, and used again."""

import json

import pytest
import torch
from jsonargparse import Namespace
from PIL import Image

from datamodules.identities import IdentityFolders, as_people
from engine.cli import Output, run
from eval.__main__ import main
from eval.arms import Arm
from eval.attacks.purification import LearnedRemover
from eval.attacks.purification.remover import build_remover, remove
from eval.studies import remover
from eval.studies.remover import Crops, RemoverModule, RemoverTraining, train_remover
from eval.studies.remover_command import act
from eval.studies.remover_pairs import make_pairs
from rid.lineage import NOTHING
from tiny.dataset import PortraitPeople

TRAINING = RemoverTraining(steps=40, batch_size=4, crop=32, lr=1e-2, widths=(8, 8))


class Brighter(Arm):
    """A protection that adds the same to every value."""

    description = "brighter"
    budget = 6
    lineage = NOTHING

    def change(self, person, seed):
        return person["train"] + 6 / 255


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remover") / "trained"
    people = PortraitPeople(2_000_000, 2, 4, 1)
    return folder, train_remover(people, Brighter(), folder, TRAINING, "cpu"), people


def test_a_known_change_is_removed_from_other_people(trained, portraits):
    folder, levels, _ = trained
    assert levels["after"] < levels["before"] / 2
    person = {"train": portraits, "reference": portraits[:1], "name": "ann"}
    protected = Brighter().protect(person, 0)
    removed = LearnedRemover(str(folder), batch_size=3)(protected, torch.Generator())
    assert (removed - portraits).abs().mean() < (protected - portraits).abs().mean() / 2
    odd = LearnedRemover(str(folder))(protected[:1, :, :50, :33], torch.Generator())
    assert odd.shape == (1, 3, 50, 33)
    assert 0 <= odd.min() <= odd.max() <= 1


def test_a_finished_training_is_not_repeated_and_another_is_refused(trained):
    folder, levels, people = trained
    before = (folder / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    assert train_remover(people, Brighter(), folder, TRAINING, "cpu") == levels
    assert (folder / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="training differs"):
        train_remover(people, Brighter(), folder, RemoverTraining(steps=41), "cpu")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"] == {"trained": 7, "held out": 1}


def test_a_stopped_training_goes_on_and_equals_an_unbroken_one(trained, tmp_path, monkeypatch):
    folder, levels, people = trained
    monkeypatch.setattr(remover, "SAVED_EVERY", 10)
    protected, steps = [], []

    class Counted(Brighter):
        def change(self, person, seed):
            protected.append(seed)
            return super().change(person, seed)

        def record(self):
            return Brighter().record()

    def stop_once(self, batch, batch_idx, step=RemoverModule.training_step):
        steps.append(batch_idx)
        if len(steps) == 26:
            raise MemoryError
        return step(self, batch, batch_idx)

    monkeypatch.setattr(RemoverModule, "training_step", stop_once)
    stopped = tmp_path / "stopped"
    with pytest.raises(MemoryError):
        train_remover(people, Counted(), stopped, TRAINING, "cpu")
    assert len(protected) == 2
    assert not json.loads((stopped / "manifest.json").read_text())["finished"]

    assert train_remover(people, Counted(), stopped, TRAINING, "cpu") == levels
    assert len(protected) == 2, "the pairs of the stopped run are used"
    assert len(steps) == 26 + 20, "from the checkpoint after 20 steps"
    for name in ("diffusion_pytorch_model.safetensors", "config.json"):
        assert (stopped / name).read_bytes() == (folder / name).read_bytes()
    assert not (stopped / "unfinished").exists()


def test_pairs_of_other_photos_are_made_again(tmp_path):
    people = as_people(PortraitPeople(2_000_000, 2, 2, 1))
    others = as_people(PortraitPeople(2_000_100, 2, 2, 1))
    here = torch.device("cpu")
    _, clean, read = make_pairs(people, Brighter(), 0, here, tmp_path / "pairs")
    assert not read
    assert make_pairs(people, Brighter(), 0, here, tmp_path / "pairs")[2]
    _, other, read = make_pairs(others, Brighter(), 0, here, tmp_path / "pairs")
    assert not read
    assert not torch.equal(clean, other)


class Album(list):
    """Persons whose names and number say nothing of their images."""

    @classmethod
    def of(cls, first):
        people = PortraitPeople(first, 2, 4, 1)
        return cls(people[place] | {"name": f"{place}"} for place in range(2))


def test_other_photos_under_the_same_names_are_trained_on_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(remover, "SAVED_EVERY", 10)
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    train_remover(Album.of(2_000_000), Brighter(), out, TRAINING, "cpu")
    levels = train_remover(Album.of(2_000_100), Brighter(), fresh, TRAINING, "cpu")
    network = "diffusion_pytorch_model.safetensors"
    assert (out / network).read_bytes() != (fresh / network).read_bytes()
    assert train_remover(Album.of(2_000_100), Brighter(), out, TRAINING, "cpu") == levels
    assert (out / network).read_bytes() == (fresh / network).read_bytes()

    # An earlier version kept no hashes: its finished trainings are taken as they are.
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["people_sha256"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert train_remover(Album.of(2_000_000), Brighter(), out, TRAINING, "cpu") == levels

    # A stopped training on other photos leaves nothing to this one, which is stopped as well.
    stopped = tmp_path / "stopped"
    for first, last in ((2_000_000, 36), (2_000_100, 16)):
        steps = []

        def stop(self, batch, batch_idx, last=last, steps=steps, step=RemoverModule.training_step):
            steps.append(batch_idx)
            if len(steps) == last:
                raise MemoryError
            return step(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(RemoverModule, "training_step", stop)
            with pytest.raises(MemoryError):
                train_remover(Album.of(first), Brighter(), stopped, TRAINING, "cpu")
    assert train_remover(Album.of(2_000_100), Brighter(), stopped, TRAINING, "cpu") == levels
    assert (stopped / network).read_bytes() == (fresh / network).read_bytes()


def test_the_network_never_lies_among_the_photos(tmp_path):
    for name in ("ann", "ben"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            values = torch.randint(256, (64, 64, 3), dtype=torch.uint8).numpy()
            Image.fromarray(values).save(tmp_path / "photos" / name / f"{number}.png")
    people = IdentityFolders(str(tmp_path / "photos"), 64, 1)
    with pytest.raises(ValueError, match="lies inside the input"):
        train_remover(people, Brighter(), tmp_path / "photos" / "out", TRAINING, "cpu")
    assert not (tmp_path / "photos" / "out").exists()


def test_the_command_says_over_how_many_images(trained, capsys):
    folder, levels, people = trained
    facts = {"people": people, "arm": Brighter(), "output": folder, "training": TRAINING}
    assert act(Namespace(**facts, accelerator="cpu"), Output("eval remover")) == 0
    told = capsys.readouterr().out
    assert f"1 held-out image differs from the clean ones by {levels['before']:.2f}" in told


def test_a_new_remover_changes_nothing_and_bad_settings_are_named():
    images = torch.rand(2, 3, 17, 20)
    assert torch.equal(remove(build_remover((8, 8)), images), images)
    with pytest.raises(ValueError, match="multiples of 8"):
        build_remover((8, 12))
    with pytest.raises(ValueError, match="must be at least 1"):
        RemoverTraining(steps=0)


def test_crops_are_of_one_pair_and_repeat():
    clean = torch.rand(3, 3, 40, 40)
    crops = Crops(clean + 1, clean, TRAINING)
    assert len(crops) == 160
    for index in range(8):
        protected, part = crops[index]
        assert protected.shape == part.shape == (3, 32, 32)
        assert torch.equal(protected, part + 1)
        assert torch.equal(part, crops[index][1])


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    config = tmp_path / "remover.yaml"
    config.write_text(
        "people: {class_path: tiny.dataset.PortraitPeople, init_args: "
        "{first: 2000000, identities: 1, train_pictures: 1, reference_pictures: 1}}\n"
        "arm: {class_path: eval.arms.Noise}\n"
    )
    assert run(main, ["remover", "-c", str(config), "-o", str(tmp_path / "out")]) == 2
    assert "at least two images" in capsys.readouterr().err
