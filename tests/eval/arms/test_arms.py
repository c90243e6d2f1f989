"""Arms: within their budgets, repeatable, and measured where they state none."""

import json
from pathlib import Path

import pytest
import torch

from datamodules.identities import IdentityFolders, Person, SourceImage
from eval.arms import Activation, Ascent, Chain, Clean, Folder, Generator, Noise
from eval.attacks.purification import DownUp
from eval.metrics.quality import fidelity, quantize
from eval.reports.budgets import measured_budgets, stated_budget
from images.io import save_png, to_rgb, to_uint8
from images.photo import Photo
from indexing.activation_config import ActivationConfig
from rid.lineage import UNKNOWN
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising


@pytest.fixture
def person(portraits):
    sources = [SourceImage(f"{number}", 64, 64) for number in range(2)]
    return Person(name="ann", train=portraits[:2], reference=portraits[2:3], sources=sources)


def save(images, folder, ending="png"):
    for number, image in enumerate(to_uint8(images)):
        save_png(Photo(to_rgb(image)), Path(folder) / f"{number}.{ending}")


def levels(arm, person):
    return fidelity(arm.protect(person, 3), quantize(person["train"]))["levels"]


def test_every_arm_stays_within_its_budget_and_repeats(person, pipelines, generator_folder):
    settings = PGDConfig(steps=2, step_size=6)
    arms = {
        Clean(): 0,
        Noise(4): 4,
        Generator(str(generator_folder)): 6,
        Generator(str(generator_folder), "tile", budget=3): 3,
        Ascent(Denoising(pipelines), 6.375, settings): 6,
        Ascent(Denoising(pipelines), 5, settings, [None, DownUp(0.5)], alternate_models=True): 5,
    }
    for arm, expected in arms.items():
        protected = arm.protect(person, 3)
        assert levels(arm, person) == expected == int(arm.budget), arm
        assert torch.equal(protected, quantize(protected))
        assert torch.equal(protected, arm.to("cpu").protect(person, 3))


def test_records_tell_settings_and_weights(pipelines, generator_folder):
    record = Ascent(Denoising(pipelines[:1]), edits=[None, DownUp(0.5)]).record()
    assert record["objective"]["prompt"] == "a photo of sks person"
    assert record["weights"][0]["name"] == pipelines[0]
    assert record["edits"][1]["scale"] == 0.5
    assert record != Ascent(Denoising(pipelines[:1]), edits=[None, DownUp(0.25)]).record()
    assert Generator(str(generator_folder)).record()["weights"]["sha256"]
    assert json.dumps(Chain([Noise(), Generator(str(generator_folder))]).record())


def test_surrogates_learn_from_reference_images_on_request(person, pipelines, monkeypatch):
    learned = []

    def pgd(images, *settings, reference):
        learned.append(reference)
        return images

    monkeypatch.setattr("eval.arms.ascent.pgd", pgd)
    objective = Denoising(pipelines)
    plain, learning = Ascent(objective), Ascent(objective, learn_from_reference=True)
    for arm in (plain, learning):
        arm.protect(person, 0)
    assert learned[0] is None
    assert torch.equal(learned[1], person["reference"])
    assert "learn_from_reference" not in plain.record(), "folders of earlier versions lack it"
    assert learning.record()["learn_from_reference"] is True


def test_a_chain_stays_within_one_budget(person, generator_folder):
    rid = Generator(str(generator_folder))
    chain = Chain([rid, Noise(4)])
    assert chain.budget == 6
    assert levels(chain, person) == 6
    assert levels(Chain([rid, Noise(4)], budget=9), person) > 6
    assert torch.equal(Chain([Noise()]).protect(person, 3), Noise().protect(person, 3))


def test_protection_and_activation_share_one_budget(person, generator_folder):
    activation = Activation(["checkpoints/tiny/index"], 3, ActivationConfig(iterations=2))
    assert 1 <= levels(activation, person) <= 3
    results = activation.activator.activate(list(quantize(person["train"])))
    for result in results:
        for of_index in result.indices.values():
            assert not result.activated or of_index.distance_after <= of_index.distance_before
    chain = Chain([Generator(str(generator_folder)), activation])
    assert levels(chain, person) == chain.budget == 6
    assert not torch.equal(chain.protect(person, 3), chain.arms[0].protect(person, 3))
    assert torch.equal(chain.protect(person, 3), chain.to("cpu").protect(person, 3))
    assert json.dumps(chain.record())
    with pytest.raises(ValueError, match="at least one index"):
        Activation([])


def test_a_folder_is_matched_by_name_and_measured(person, tmp_path):
    changed = (quantize(person["train"]) + 9 / 255).clamp(0, 1)
    save(changed, tmp_path / "ann")
    folder = Folder(str(tmp_path))
    assert folder.budget is None
    assert folder.lineage == UNKNOWN
    assert torch.equal(folder.protect(person, 0), quantize(changed))
    assert levels(folder, person) == 9
    before = folder.record()
    save(person["train"], tmp_path / "ann")
    assert Folder(str(tmp_path)).record() != before
    assert levels(Chain([Folder(str(tmp_path))], budget=2), person) == 0
    with pytest.raises(ValueError, match="only begin a chain"):
        Chain([Noise(), folder])
    with pytest.raises(ValueError, match="no arm of the chain states a budget"):
        _ = Chain([folder]).budget


def test_protected_files_of_the_photos_size_are_cropped_as_the_photos_are(portraits, tmp_path):
    wide = torch.cat([portraits[:3], portraits[3:6]], dim=3)
    save(wide, tmp_path / "people" / "ann")
    protected = (quantize(wide) + 5 / 255).clamp(0, 1)
    save(protected, tmp_path / "protected" / "ann")
    people = IdentityFolders(str(tmp_path / "people"), 64, 2)
    folder = Folder(str(tmp_path / "protected"))
    assert levels(folder, people[0]) == 5


def test_missing_double_and_other_sized_files_are_named(person, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images in this folder"):
        Folder(str(tmp_path / "empty"))
    save(person["train"][:1], tmp_path / "ann")
    with pytest.raises(FileNotFoundError, match=r"no protected file ann/1\.png"):
        Folder(str(tmp_path)).check(person)
    save(person["train"][..., :32], tmp_path / "ann")
    with pytest.raises(ValueError, match=r"ann/0\.png: 32 x 64 pixels, but the image is 64 x 64"):
        Folder(str(tmp_path)).check(person)
    save(person["train"], tmp_path / "ann", "jpg")
    with pytest.raises(ValueError, match="two protected files of one image"):
        Folder(str(tmp_path)).check(person)
    nameless = Person(name="ann", train=person["train"], reference=person["reference"])
    with pytest.raises(ValueError, match="no names to match"):
        Folder(str(tmp_path)).check(nameless)


@pytest.mark.parametrize("budget", [0.5, 256])
def test_a_budget_that_no_file_holds_is_refused(budget, generator_folder):
    for build in (Noise, lambda budget: Generator(str(generator_folder), budget=budget)):
        with pytest.raises(ValueError, match="from 1 to 255"):
            build(budget)


def test_pages_say_stated_and_measured_budgets():
    manifest = {"budgets": {"clean": 0.0, "rid": 6.0, "noise": 4.0, "mist": None}}
    assert stated_budget(manifest) == "at most 4 or 6"
    assert stated_budget({"budget_levels": 6.0}) == "at most 6"
    (words,) = measured_budgets(manifest, {"rid": 6.0, "mist": 9.0})
    assert words.startswith("mist: states no budget")
    assert "up to 9 gray levels" in words
    assert measured_budgets({"budget_levels": 6.0}, {"rid": 6.0}) == []
