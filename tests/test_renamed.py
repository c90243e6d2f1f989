"""Former names of settings work in command lines, configs and earlier folders."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from engine.cli import UsageError
from engine.manifest import check_same, claim, write_manifest
from engine.renaming import present_name, present_settings, within
from rid.pairs.job import PairJob
from rid.pairs.objectives import Denoising
from rid.pairs.renamed import PAIRS_RENAMED

ROOT = Path(__file__).parent.parent

MATRIX = {"config": str(ROOT / "configs" / "eval" / "tiny_matrix.yaml")}

PAIRS = {"photos": ["p"], "objective": {"class_path": "Denoising", "init_args": {"models": ["sd"]}}}

CASES = [
    ("rid pairs", PAIRS, "in_turn", "alternate_models", False),
    ("rid pairs", PAIRS, "ascent.steps", "pgd.steps", 7),
    ("rid pairs", PAIRS, "ascent.step_levels", "pgd.step_size", 0.5),
    ("rid pairs", PAIRS, "pgd.rounds", "pgd.outer_steps", 2),
    ("rid pairs", PAIRS, "ascent.shared", "pgd.universal", True),
    ("rid protect", {"photos": ["p"]}, "fit", "resize_mode", "tile"),
    ("rid protect", {"photos": ["p"]}, "num_workers", "workers", 0),
    (
        "eval retrieval",
        {"index": "i", "originals": "o", "arms": {"a": "b"}},
        "strangers",
        "distractor_queries",
        "s",
    ),
    ("eval matrix", MATRIX, "crosses", "grid", [{"attacks": ["a"], "purifications": ["none"]}]),
    ("sentinels embed", {"photos": ["p"]}, "model", "weights", "dino"),
    ("sentinels retrieve", {"vectors": "v", "text": "t"}, "model", "weights", "dino"),
    ("sentinels plant", {"photos": "p"}, "device", "accelerator", "cuda:1"),
    ("checkpoints push", {"folder": "f", "repository": "a/b"}, "licence", "license", "mit"),
    ("datamodules inspect", {"shards": ["s"]}, "pictures", "images", 3),
    ("datamodules inspect", {"shards": ["s"]}, "most", "max_records", 3),
]


def verb_parser(command):
    room, name = command.split()
    return import_module(f"{room}.__main__").VERBS[name].parser(command)


def words(command, settings, option, value):
    """Command line of a verb with one more option.

    Args:
        command: Package and verb.
        settings: Positional arguments and required options.
        option: Name of the additional option.
        value: Value of the additional option.
    """
    parser = verb_parser(command)
    positional = [action.dest for action in parser._actions if not action.option_strings]
    line = []
    for name in positional:
        line += settings[name] if isinstance(settings[name], list) else [settings[name]]
    for name, setting in settings.items():
        if name not in positional:
            line.append(f"--{name}={as_text(setting)}")
    if any(action.dest == "output" for action in parser._actions):
        line.append("--output=out")
    return [*line, f"--{option}={as_text(value)}"]


def as_text(value):
    """Format a setting for a command line."""
    return value if isinstance(value, str) else json.dumps(value)


def parsed(command, arguments):
    settings = verb_parser(command).parse_args(arguments).as_dict()
    settings.pop("config")
    return settings


IDS = [f"{case[0]} {case[2]}" for case in CASES]


@pytest.mark.parametrize(("command", "needed", "former", "present", "value"), CASES, ids=IDS)
def test_former_names_work_in_command_lines(command, needed, former, present, value):
    expected = parsed(command, words(command, needed, present, value))
    assert parsed(command, words(command, needed, former, value)) == expected
    assert parsed(command, words(command, needed, former.replace("_", "-"), value)) == expected


@pytest.mark.parametrize(("command", "needed", "former", "present", "value"), CASES, ids=IDS)
def test_former_names_work_in_configs(command, needed, former, present, value, tmp_path):
    *group, name = former.split(".")
    config = {group[0]: {name: value}} if group else {name: value}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(config))
    expected = words(command, needed, present, value)
    from_file = [*expected[:-1], "-c", str(tmp_path / "old.yaml")]
    assert parsed(command, from_file) == parsed(command, expected)


def test_a_group_given_as_json_or_as_a_file_may_have_former_names(tmp_path):
    (tmp_path / "pgd.yaml").write_text("rounds: 4\nstep_levels: 2\n")
    for option in ("--ascent", "--pgd"):
        for value in ('{"rounds": 4, "step_levels": 2}', tmp_path / "pgd.yaml"):
            line = ["p", "-o", "o", "--objective=Denoising", "--objective.models=[sd]"]
            line.append(f"{option}={value}")
            pgd = parsed("rid pairs", line)["pgd"]
            assert (pgd["outer_steps"], pgd["step_size"]) == (4, 2)


@pytest.mark.parametrize(
    ("command", "option", "words"),
    [
        (
            "rid pairs",
            "--models=[sd]",
            "models is no setting of its own any more: give --objective.models",
        ),
        ("rid pairs", "--surrogate.steps=3", "give --objective.surrogate"),
        (
            "eval matrix",
            "--generator=rid",
            "give --arms.NAME.weights of an arm of the class Generator",
        ),
        ("eval personalize", "--pgd.steps=3", "give --arms.NAME.pgd"),
    ],
)
def test_a_setting_that_moved_says_where(command, option, words, tmp_path):
    with pytest.raises((UsageError, ValueError), match=words):
        parsed(command, ["-o", "out", option])
    name, _, value = option.removeprefix("--").partition("=")
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({name.partition(".")[0]: value}))
    with pytest.raises(UsageError, match=words):
        parsed(command, ["-o", "out", "-c", str(tmp_path / "old.yaml")])


def test_pairs_of_version_0_2_resume(tmp_path):
    """The settings of the objective stand among the others, as they did."""
    former = {"models": ["sd"], "method": "denoising", "prompt": "a photo of sks person"}
    former |= {
        "timestep_range": [0.0, 1.0],
        "num_noise_samples": 1,
        "surrogate": {},
        "target": None,
    }
    objective = Denoising(["sd"])
    present = objective.settings() | {"objective": objective.name}
    check_same(tmp_path, {"settings": former}, PairJob.command, present, PAIRS_RENAMED)
    with pytest.raises(ValueError, match="objective differs"):
        check_same(
            tmp_path,
            {"settings": former | {"method": "encoder"}},
            PairJob.command,
            present,
            PAIRS_RENAMED,
        )


def test_both_names_of_a_setting_are_refused(tmp_path):
    (tmp_path / "both.yaml").write_text("fit: tile\nresize_mode: crop\n")
    with pytest.raises(UsageError, match=r"both\.yaml: fit is the former name of resize_mode"):
        parsed("rid protect", ["p", "-o", "o", "-c", str(tmp_path / "both.yaml")])


MANIFESTS = [
    (
        "rid.pairs.job:PairJob",
        {"in_turn": True, "span": [0, 1], "draws": 1, "surrogate": {"before": 0, "steps": 3}}
        | {"ascent": {"steps": 9, "step_levels": 0.6, "rounds": 50, "shared": False}},
        {"alternate_models": True, "timestep_range": [0, 1], "num_noise_samples": 1}
        | {"surrogate": {"warmup_steps": 0, "steps": 3}}
        | {"pgd": {"steps": 9, "step_size": 0.6, "outer_steps": 50, "universal": False}},
    ),
    ("rid.protect.job:ProtectJob", {"fit": "tile"}, {"resize_mode": "tile"}),
    ("eval.studies.lookup_job:LookUpJob", {"strangers": None}, {"distractor_queries": None}),
]


@pytest.mark.parametrize(
    ("place", "former", "present"), MANIFESTS, ids=lambda value: str(value)[:30]
)
def test_folders_of_earlier_versions_are_resumed(place, former, present, tmp_path):
    module, _, name = place.partition(":")
    job = getattr(import_module(module), name)
    write_manifest(tmp_path, command=job.command, finished=True, settings=former)
    assert claim(tmp_path, job.command, present, job.renamed)
    first = next(iter(present))
    earlier = {"command": job.command, "settings": former}
    with pytest.raises(ValueError, match=f"{first} differs"):
        check_same(tmp_path, earlier, job.command, present | {first: "other"}, job.renamed)


def test_names_change_in_the_order_of_the_table():
    assert present_name("ascent.step_levels", PAIRS_RENAMED) == "pgd.step_size"
    assert present_name("ascent", PAIRS_RENAMED) == "pgd"
    assert present_name("ascents", PAIRS_RENAMED) == "ascents"
    assert within("a", {"b": "c"}) == {"a.b": "a.c"}


def test_settings_are_copied_and_groups_joined():
    settings = {"ascent": {"rounds": 2}, "pgd": {"steps": 1}, "models": ["sd"]}
    assert present_settings(settings, PAIRS_RENAMED) == {
        "models": ["sd"],
        "pgd": {"steps": 1, "outer_steps": 2},
    }
    assert settings["ascent"] == {"rounds": 2}
