"""Messages about options: the option, its value, the allowed values, and a suggestion."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from engine.cli import Room, UsageError, Verb, one_line, run
from engine.cli.spelling import normalize_options


class Method:
    """A method."""


class Jpeg(Method):
    """A codec."""

    def __init__(
        self, quality: int = 75, chroma: Literal["420", "444"] = "420", source: str = "here"
    ):
        if not Path(source).exists() and source != "here":
            raise FileNotFoundError(f"{source}: no such file or folder")


class Planned(ABC):
    """Kind of method without instances."""

    @abstractmethod
    def plan(self): ...


class DownUp(Method):
    """Scaling."""


@dataclass
class Limits:
    """When to stop.

    Attributes:
        steps: At least 1.
        span: Two shares.
        mode: Which.
    """

    steps: int = 3
    span: tuple[float, float] = (0.0, 1.0)
    mode: Literal["fast", "slow"] = "fast"

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError("steps must be at least 1")


def options(parser):
    parser.add_argument("photos", type=Path, nargs="+", help="folders and images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--method", type=Method | None, default=None)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float | None, default=None)
    parser.add_argument("--devices", type=int | Literal["auto"], default="auto")
    parser.add_argument("--methods", type=dict[str, Planned], default={})
    parser.add_argument("--html", action="store_true")
    parser.add_argument("--decode", type=bool, default=True)
    parser.add_argument("--data", type=list[str], default=[])
    parser.add_argument("--labels", type=dict[str, int], default={})
    parser.add_argument("--trust-torchscript", action="store_true")
    parser.add_class_arguments(Limits, "limits")


ROOM = Room(
    "room",
    "A room.",
    {
        "go": Verb(
            "Go.", "room go P -o O", options, lambda settings, output: output.result(repr(settings))
        )
    },
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("p -o x --bogus 3", "there is no option --bogus; python -m room go --help-all lists them"),
        ("p -o x --batch_sise 3", "there is no option --batch-sise; did you mean --batch-size?"),
        ("p -o x --batch 3", "there is no option --batch; did you mean --batch-size?"),
        (
            "p -o x --limits.stps 3",
            "there is no option --limits.stps; did you mean --limits.steps?",
        ),
        (
            "p -o x --limits.learning-rate 3",
            "there is no option --limits.learning-rate; python -m room go --help-all lists them",
        ),
        ("p -o x --batch-size many", "--batch-size: 'many' is not a whole number"),
        (
            "p -o x --seed -1",
            "--seed: -1 is not a seed; it is a whole number from 0 to 4294967295",
        ),
        ("p -o x --rate much", "--rate: 'much' is not a number"),
        ("p -o x --devices all", "--devices: 'all' is not a whole number or auto"),
        ("p -o x --decode maybe", "--decode: 'maybe' is not true or false"),
        (
            "p -o x --methods.small.quality 3",
            "--methods: class_path is missing; name a kind of Planned",
        ),
        ("p -o x --data a", "--data: 'a' is not a list such as [a, b]"),
        ("p -o x --labels a", "--labels: 'a' is not pairs such as {a: 1}"),
        ("p -o x --limits.span [1]", "--limits.span: '[1]' is not 2 values such as [a, b]"),
        (
            "p -o x --limits.mode slwo",
            "--limits.mode: 'slwo' is not one of fast, slow; did you mean slow?",
        ),
        ("p -o x --limits.steps 0", "steps must be at least 1"),
        (
            "p -o x --method Jpg",
            "--method: 'Jpg' is not one of DownUp, Jpeg, Method; did you mean Jpeg?",
        ),
        (
            "p -o x --method Jpeg --method.quality best",
            "--method: Jpeg: quality: 'best' is not a whole number",
        ),
        ("p -o x --method Jpeg --method.qality 9", "--method: Jpeg: there is no setting 'qality'"),
        ("p -o x --method Jpeg --method.source data/faces", "data/faces: no such file or folder"),
        ("p", "missing: -o/--output (folder of the results)"),
        ("-o x", "missing: PHOTOS (folders and images)"),
        ("", "missing: PHOTOS, -o/--output"),
        ("p -o", "-o/--output: a value is missing"),
        ("p -o x --html=3", "--html: takes no value, got '3'"),
        ("p -o x -c none.yaml", "-c/--config: none.yaml: no such file"),
    ],
)
def test_one_line_says_what_is_wrong(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(ROOM.main, ["go", *words.split()]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bogus: 3", "there is no setting 'bogus'"),
        ("batch_sice: 3", "there is no setting 'batch_sice'; did you mean batch_size?"),
        ("limits: {stpes: 3}", "there is no setting 'limits.stpes'; did you mean limits.steps?"),
        ("batch_size: [3", "not valid YAML: did not find expected ',' or ']', line 1, column 13"),
        ("limits: {steps: some}", "limits.steps: 'some' is not a whole number"),
        ("batch_size: null", "batch_size: null is not a whole number"),
        ("batch size: 3", 'Spaces not allowed in keys: "batch size".'),
        ("- a", "not a mapping of settings, such as 'batch_size: 8'"),
    ],
)
def test_a_config_is_named(text, message, capsys, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(text)
    assert run(ROOM.main, ["go", "p", "-o", "x", "-c", str(config)]) == 2
    assert capsys.readouterr().err == f"error: {config}: {message}\n"


def test_a_value_of_a_thousand_characters_is_cut(capsys):
    assert run(ROOM.main, ["go", "p", "-o", "x", "--rate", "x" * 1000]) == 2
    assert len(capsys.readouterr().err) < 120


def test_both_spellings_of_every_option(capsys):
    for words in (
        ["--batch-size", "3"],
        ["--batch_size=3"],
        ["--num_workers", "5"],
        ["--num-workers=5"],
        ["--trust_torchscript"],
    ):
        assert run(ROOM.main, ["go", "p", "-o", "x", *words]) == 0
    said = capsys.readouterr().out
    assert said.count("batch_size=3") == 2
    assert said.count("workers=5") == 2
    assert said.count("trust_torchscript=True") == 1


def test_values_and_what_follows_two_dashes_stay_as_they_are():
    parser = ROOM.verbs["go"].parser("room go")
    words = ["--batch-size=3", "a_b-c", "--method.init-args.a_b=x-y_z", "--", "--batch-size"]
    assert normalize_options(words, parser) == [
        "--batch_size=3",
        "a_b-c",
        "--method.init_args.a_b=x-y_z",
        "--",
        "--batch-size",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--trainer.max-stesp 3",
            "there is no option --trainer.max-stesp; did you mean --trainer.max-steps?",
        ),
        ("--trainer.max-steps x", "--trainer.max-steps: 'x' is not a whole number"),
        (
            "--trainer.callbacks.every_n 3",
            "--trainer.callbacks: PictureGrid: there is no setting 'every_n'",
        ),
        (
            "--data.init_args.batch-siz 3",
            "--data: ImageDataModule: there is no setting 'batch_siz'",
        ),
        ("--model.surrogates 3", "--model.surrogates: '3' is not a list such as [a, b]"),
    ],
)
def test_trainings_say_it_the_same_way(words, message):
    from tests.commands import lightning

    with pytest.raises(UsageError) as raised:
        lightning("rid", ["fit", "-c", "configs/rid/tiny_adv_sds.yaml", *words.split()])
    assert str(raised.value) == message


def test_what_a_training_lacks():
    from tests.commands import lightning

    with pytest.raises(
        UsageError, match=r"^missing: --model.generator, --model.surrogates, --data$"
    ):
        lightning("rid", ["fit", "--trainer.max_steps", "3"])


def test_a_config_without_a_needed_setting_is_named(capsys, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("batch_size: 3")
    assert run(ROOM.main, ["go", "p", "-c", str(config)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: {config}: missing: -o/--output (folder of the results)\n"


def test_a_training_config_with_a_wrong_value_is_named(tmp_path):
    from tests.commands import lightning

    config = tmp_path / "c.yaml"
    text = Path("configs/tiny/copies.yaml").read_text()
    config.write_text(text.replace("class_path: tiny.copies", "class_path: tiny.copie"))
    assert config.read_text() != text
    with pytest.raises(UsageError, match=f"^{re.escape(str(config))}: --model"):
        lightning("tiny", ["fit", "-c", str(config)])


def test_the_cause_inside_a_training_config_is_shown(monkeypatch, tmp_path):
    from rid.training.cli import main

    config = str(Path("configs/rid/adv_sds.yaml").resolve())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^data/faces: no such file or folder$"):
        main(["fit", "-c", config])


def test_a_config_that_is_no_text_or_on_a_failing_disk_is_named(capsys, tmp_path, monkeypatch):
    config = tmp_path / "c.yaml"
    config.write_bytes(b"\x89PNG")
    assert run(ROOM.main, ["go", "p", "-o", "x", "-c", str(config)]) == 2
    assert capsys.readouterr().err == f"error: {config}: not a text file\n"
    config.unlink()
    config.symlink_to("/proc/self/mem")  # its first byte cannot be read
    assert run(ROOM.main, ["go", "p", "-o", "x", "-c", str(config)]) == 2
    assert f"{config}: input/output error" in capsys.readouterr().err


def test_a_message_that_repeats_a_file_is_cut_in_its_middle():
    text = one_line(ValueError("a.csv: " + "x" * 5000 + " is no number"))
    assert len(text) < 1000
    assert text.startswith("a.csv: x")
    assert text.endswith("is no number")
