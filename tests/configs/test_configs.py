"""Shipped configs build, and name only models that are shipped or on the Hub."""

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml

from detectors.cli import main as sentry
from detectors.protocol_command import VERB as PROTOCOL
from detectors.protocol_options import ProtocolOptions
from detectors.protocol_plan import DATE
from engine.cli import dataclass_from
from eval.__main__ import VERBS as EVAL
from eval.arms import Ascent
from eval.studies.cells import plan
from eval.studies.protection_command import MATRIX, PERSONALIZE
from images.io import save_png
from images.photo import Photo
from indexing.activate_command import VERB as ACTIVATE
from rid.generator import PerturbationGenerator
from rid.pairs.command import VERB as PAIRS
from rid.pairs.config import PairConfig
from rid.training.cli import main as rid
from rid.weights import save_generator

CONFIGS = Path(__file__).parents[2] / "configs"

PAPERS = "rid_paper|antidreambooth|diffadvperturbationbench"
"""Published protocols, which are matrices."""


def everything():
    return sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml"))


def test_there_are_no_other_kinds_of_config():
    assert {name.split("/")[0] for name in everything()} <= {
        "rid",
        "eval",
        "detectors",
        "indexing",
        "sentinels",
        "tiny",
    }


@pytest.mark.parametrize("name", [name for name in everything() if name.startswith("rid/pairs_")])
def test_pair_configs_build(name):
    parser = PAIRS.parser("rid pairs")
    arguments = ["photos", "-o", "x", "-c", str(CONFIGS / name)]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    assert dataclass_from(settings, PairConfig).objective.models


@pytest.mark.parametrize(
    "name", [name for name in everything() if name.startswith("rid/") and "pairs_" not in name]
)
def test_training_configs_build(name, generator_folder, tmp_path, monkeypatch):
    levels = torch.full((40, 40, 3), 90, dtype=torch.uint8).numpy()
    for file in ("data/faces/1.png", "data/validation/2.png"):
        save_png(Photo(levels), tmp_path / file)
    for folder in ("data/pairs", "outputs/pairs", "outputs/photos/pairs"):
        pairs = tmp_path / folder
        save_png(Photo(levels), pairs / "1.png")
        (pairs / "pairs.json").write_text('[{"source_path": "1.png", "attacked_path": "1.png"}]')
    monkeypatch.chdir(tmp_path)
    small = [
        "--model.generator.init_args.width=16",
        "--model.generator.init_args.depth=1",
        "--model.generator.init_args.heads=2",
    ]
    # Fine-tuning starts from a trained generator.
    if "load_generator" in (CONFIGS / name).read_text():
        start = generator_folder
        if "512" in name:
            start = tmp_path / "generator"
            save_generator(PerturbationGenerator(width=16, depth=1, heads=2), start)
        small = [f"--model.generator.init_args.name={start}"]
    cli = rid(args=["-c", str(CONFIGS / name), *small], run=False)
    assert cli.model.generator.budget == 6
    item = cli.datamodule.datasets["train"][0]
    sizes = {value.shape[-1] for value in item.values() if isinstance(value, torch.Tensor)}
    assert sizes == {cli.model.generator.image_size}
    meets_models = cli.model.hparams["sds_weight"] + cli.model.hparams["denoising_weight"] > 0
    assert ("image" in item) >= meets_models
    assert ("attacked" in item) == (cli.model.hparams["regression_weight"] > 0)


@pytest.fixture
def someone(tmp_path, monkeypatch):
    """Eight people with photos where configs look for them."""
    levels = torch.full((520, 520, 3), 90, dtype=torch.uint8).numpy()
    for number in range(64):
        save_png(Photo(levels), tmp_path / f"data/identities/{number % 8}/{number // 8}.png")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("someone")
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in everything()
        if name.startswith("eval/")
        and not re.search(f"matrix|remover|/human_|/redteam_|{PAPERS}", name)
    ],
)
def test_study_configs_build(name):
    parser = PERSONALIZE.parser("eval personalize")
    settings = parser.instantiate_classes(parser.parse_args(["-c", str(CONFIGS / name), "-o", "x"]))
    person = settings.people[0]
    assert len(person["train"]) > 0
    assert "clean" in settings.arms
    against = [arm.objective.models for arm in settings.arms.values() if isinstance(arm, Ascent)]
    assert all(settings.attack.config.model in models for models in against)


@pytest.mark.usefixtures("someone")
@pytest.mark.parametrize("name", [name for name in everything() if "matrix" in name])
def test_matrix_configs_build(name):
    parser = MATRIX.parser("eval matrix")
    settings = parser.instantiate_classes(parser.parse_args(["-c", str(CONFIGS / name), "-o", "x"]))
    cells = plan(settings.attacks, settings.purifications, settings.grid)
    assert {attack for attack, _ in cells} == set(settings.attacks)
    assert {purification for _, purification in cells} == set(settings.purifications)
    assert len(settings.people[0]["train"]) > 0


@pytest.fixture
def fifty_people(tmp_path, monkeypatch):
    """People in the layout of each published protocol."""
    small = np.full((8, 8, 3), 90, dtype=np.uint8)
    for person in range(50):
        for number in range(12):
            file = f"{person:02d}/set_{'ABC'[number // 4]}/{number}.png"
            save_png(Photo(small + number), tmp_path / "data/vggface2" / file)
    for number in range(15 * 14):
        save_png(
            Photo(small), tmp_path / f"data/rid_benchmark/{number % 15:02d}/{number // 15}.png"
        )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("fifty_people")
@pytest.mark.parametrize("name", [name for name in everything() if re.search(PAPERS, name)])
def test_published_protocols_build_and_state_what_they_are(name):
    parser = MATRIX.parser("eval matrix")
    settings = parser.instantiate_classes(parser.parse_args(["-c", str(CONFIGS / name), "-o", "x"]))
    cells = plan(settings.attacks, settings.purifications, settings.grid)
    assert {attack for attack, _ in cells} == set(settings.attacks)
    person = settings.people[0]
    if "set_" in (CONFIGS / name).read_text():
        assert (len(settings.people), len(person["train"]), len(person["reference"])) == (50, 4, 4)
        assert [source.name for source in person["sources"]] == [f"set_B/{n}" for n in range(4, 8)]
    else:
        assert (len(settings.people), len(person["train"])) == (15, 12)
    head = (CONFIGS / name).read_text().split("people:")[0]
    for fact in ("Data:", "Prompts:", "n:", "Metrics:", "steps", "arXiv|github.com"):
        assert re.search(fact, head), f"the header states {fact}"


@pytest.mark.parametrize("name", [name for name in everything() if "/redteam_" in name])
def test_red_team_configs_build(name):
    parser = EVAL["redteam"].parser("eval redteam")
    arguments = ["PHOTOS", "--clean", "CLEAN", "-c", str(CONFIGS / name), "-o", "x"]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    cells = plan(settings.attacks, settings.purifications, settings.grid)
    assert {attack for attack, _ in cells} == set(settings.attacks)
    assert {purification for _, purification in cells} == set(settings.purifications)
    assert cells[0][1] == "none"


def test_the_removers_config_builds():
    parser = EVAL["remover"].parser("eval remover")
    arguments = ["-c", str(CONFIGS / "eval/tiny_remover.yaml"), "-o", "x"]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    assert len(settings.people) > 1
    assert settings.arm.budget == 6


@pytest.mark.parametrize("name", [name for name in everything() if name.startswith("sentinels/")])
def test_sentinel_configs_build(name):
    verb = "rag-robustness" if "robustness" in name else "rag"
    parser = EVAL[verb].parser(f"eval {verb}")
    settings = parser.instantiate_classes(parser.parse_args(["-c", str(CONFIGS / name), "-o", "x"]))
    hosted = settings.generator.needs_service or settings.judge.needs_service
    assert (settings.service is not None) == hosted
    assert (settings.decision if "robustness" in name else settings.decide).similarity


@pytest.mark.parametrize("name", [name for name in everything() if name.startswith("eval/human_")])
def test_human_test_configs_build(name):
    parser = EVAL["study"].parser("eval study")
    settings = parser.instantiate_classes(parser.parse_args(["-c", str(CONFIGS / name), "-o", "x"]))
    images = settings.pictures
    arms = images.folders if hasattr(images, "folders") else images.arms
    assert list(settings.design.labels) == list(arms)


@pytest.mark.parametrize(
    "name",
    [name for name in everything() if name.startswith("detectors/") and "protocol" not in name],
)
def test_detector_configs_build(name, monkeypatch):
    real = timm.create_model

    def small(name, pretrained=False, **options):
        assert timm.is_model(name.split(".")[0])
        assert name in timm.list_pretrained() or not pretrained
        if "vit" in name:
            return real(f"vit_tiny_patch16_{384 if '_384' in name else 224}", **options)
        if "convnext" in name:
            return real("convnext_atto", **options)
        return real("resnet10t", **options)

    monkeypatch.setattr(timm, "create_model", small)
    cli = sentry(
        args=["-c", str(CONFIGS / name), "--trainer.accelerator=cpu", "--trainer.devices=1"],
        run=False,
    )
    detector = cli.model.detector
    assert cli.datamodule.test_view == detector.view
    assert cli.datamodule.train_view == detector.train_view
    assert detector.train_view.random
    assert not detector.view.random
    assert detector.eval()(torch.rand(2, 3, detector.view.size, detector.view.size)).shape == (2,)


@pytest.mark.parametrize("name", [name for name in everything() if "_protocol" in name])
def test_protocol_configs_build(name):
    parser = PROTOCOL.parser("detectors protocol")
    arguments = ["recipe.yaml", "-o", "OUT", "-c", str(CONFIGS / name)]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    options = dataclass_from(settings, ProtocolOptions)
    assert len(options.dates) == 3
    assert all(re.fullmatch(DATE, date) for date in options.dates.values())


@pytest.mark.parametrize(
    "name", [name for name in everything() if name.startswith("indexing/") and "activate" in name]
)
def test_activation_configs_build(name):
    parser = ACTIVATE.parser("indexing activate")
    arguments = ["PHOTOS", "-o", "OUT", "-c", str(CONFIGS / name)]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    assert settings.activation.iterations == 10
    assert settings.index


@pytest.mark.parametrize(
    "name", [name for name in everything() if name.startswith("indexing/") and "retrieval" in name]
)
def test_retrieval_configs_build(name):
    parser = EVAL["retrieval"].parser("eval retrieval")
    arguments = ["-o", "OUT", "-c", str(CONFIGS / name)]
    settings = parser.instantiate_classes(parser.parse_args(arguments))
    assert list(settings.arms) == ["passive", "active"]
    assert settings.parameters == "nprobe=1"


@pytest.mark.parametrize("name", everything())
def test_configs_start_with_the_command_that_runs_them(name):
    head = (CONFIGS / name).read_text().split("\n\n")[0]
    assert f"configs/{name}" in head
    assert "python -m" in head or "make demo" in head
    assert yaml.safe_load((CONFIGS / name).read_text())
