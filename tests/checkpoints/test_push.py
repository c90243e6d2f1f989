"""Models pushed to the Hub, by the real client against a local server."""

from pathlib import Path

import pytest
import torch

from checkpoints.__main__ import main as door
from engine.cli import run
from models.faces.face_net import FaceNet
from rid.generator import PerturbationGenerator

ROOT = Path(__file__).parents[2]


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


def test_a_model_goes_to_the_hub_and_comes_back(hub, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert run(door, ["push", str(trained), "ada/protector", "--message", "First weights"]) == 0
    told = capsys.readouterr()
    said = told.out
    assert "stays here: notes.txt" in told.err
    assert f"sent: {hub.url}/ada/protector/commit/" in said
    sent = hub.repositories["ada/protector"][-1]
    assert set(sent) == {
        "config.json",
        "model.safetensors",
        "model.sha256",
        "golden.npz",
        "README.md",
        "manifest.json",
    }
    assert sent["model.safetensors"] == (trained / "model.safetensors").read_bytes()
    assert not [
        name
        for name, content in sent.items()
        if b"/home/ada" in content or str(tmp_path).encode() in content
    ]
    assert "ada/protector" in hub.private
    card = sent["README.md"].decode()
    for words in (
        "license: apache-2.0",
        "## Intended use",
        "## Limits",
        "| seed | 4 |",
        "| steps | 90 |",
        "surrogates sd",
        "Nothing was measured",
    ):
        assert words in card
    assert "from_pretrained('ada/protector')" in card
    opened = PerturbationGenerator.from_pretrained("ada/protector")
    assert all(
        torch.equal(value, PerturbationGenerator.from_pretrained(trained).state_dict()[key])
        for key, value in opened.state_dict().items()
    )
    assert opened.budget == 6.0
    assert run(door, ["pull", "ada/protector"]) == 0
    assert run(door, ["verify", "ada/protector"]) == 0
    assert "opened as a PerturbationGenerator; outputs as recorded" in capsys.readouterr().out


def test_a_card_keeps_a_persons_words_and_learns_what_became_known(hub, trained, tmp_path):
    (trained / "README.md").write_text("# Mine\n\nFor my portraits.\n\n## Limits\n\nUntried.\n")
    assert (
        run(door, ["push", str(trained), "ada/protector", "--dry_run", str(tmp_path / "first")])
        == 0
    )
    (tmp_path / "first" / "summary.json").write_text(
        '{"ranking": {"auc": 0.75, "curve": [1]}, "oracle": {"tpr": 1.0}}'
    )
    assert (
        run(
            door,
            [
                "push",
                str(tmp_path / "first"),
                "ada/protector",
                "--dry_run",
                str(tmp_path / "second"),
            ],
        )
        == 0
    )
    before, after = ((tmp_path / name / "README.md").read_text() for name in ("first", "second"))
    assert (
        after.count("For my portraits.")
        == after.count("## Limits")
        == after.count("## Measured")
        == after.count("## Training")
        == 1
    )
    assert "Nothing was measured" in before
    assert "| ranking | auc 0.75 |" in after
    assert "tpr" not in after, "its threshold was chosen on the test"


def test_a_dry_run_writes_what_would_go_and_sends_nothing(hub, trained, tmp_path, capsys):
    assert (
        run(door, ["push", str(trained), "ada/protector", "--dry_run", str(tmp_path / "look")]) == 0
    )
    assert "nothing was uploaded" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "look").iterdir()} == {
        "config.json",
        "model.safetensors",
        "model.sha256",
        "golden.npz",
        "README.md",
        "manifest.json",
    }
    assert not hub.seen
    assert (
        run(door, ["push", str(trained), "ada/protector", "--dry_run", str(tmp_path / "look")]) == 2
    )
    assert "exists already" in told(capsys)


@pytest.mark.parametrize(
    ("repository", "more", "words"),
    [
        ("ada/a/b", (), "'ada/a/b' is not a Hub id to push to; give org/model"),
        ("bad name/x", (), "'bad name/x' is not a Hub id to push to; give org/model"),
        ("ada/a", ("--license", ""), "'' is no license as the Hub abbreviates it"),
        ("ada/a", ("--license", "my own"), "'my own' is no license as the Hub abbreviates it"),
    ],
)
def test_names_that_the_hub_does_not_take_are_refused_before_any_work(
    hub, trained, tmp_path, capsys, repository, more, words
):
    look = ["--dry-run", str(tmp_path / "look")]
    assert run(door, ["push", str(trained), repository, *look, *more]) == 2
    assert words in told(capsys)
    assert run(door, ["push", str(trained), repository, *more]) == 2
    assert words in told(capsys)
    assert not hub.seen
    assert not (tmp_path / "look").exists()


def test_a_dry_run_does_not_write_into_the_models_folder(hub, trained, capsys):
    assert run(door, ["push", str(trained), "ada/a", "--dry-run", str(trained / "look")]) == 2
    assert "lies inside the model's folder" in told(capsys)
    assert not (trained / "look").exists()


def test_converted_weights_go_under_their_own_licence(hub, trained, tmp_path, capsys):
    (trained / "manifest.json").write_text(
        '{"command": "checkpoints convert", "source": {"name": "released.bin"}}'
    )
    command = ["push", str(trained), "ada/protector", "--dry_run", str(tmp_path / "look")]
    assert run(door, command) == 2
    assert "are someone else's: give their license" in told(capsys)
    assert run(door, [*command, "--license", "mit"]) == 0
    assert "license: mit" in (tmp_path / "look" / "README.md").read_text()


@pytest.mark.parametrize(
    ("fault", "words"), [(None, "(401)"), ((403, None, {}), "your token has no right to it")]
)
def test_refused_pushes_are_explained(hub, trained, fault, words, capsys, monkeypatch):
    if fault:
        hub.faults["ada/protector"] = fault
        monkeypatch.setenv("HF_TOKEN", hub.token)
    assert run(door, ["push", str(trained), "ada/protector"]) == 2
    assert "not pushed" in (said := told(capsys))
    assert words in said


def test_a_network_in_memory_is_pushed_too(hub, network, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    torch.manual_seed(3)
    mine = FaceNet(image_size=16, channels=(8, 8), embedding=4, threshold=0.25).eval()
    mine.push_to_hub("ada/faces", private=False)
    assert "ada/faces" not in hub.private
    opened = FaceNet.from_pretrained("ada/faces")
    assert opened.threshold == 0.25
    assert torch.equal(opened.embed.weight, mine.embed.weight)


@pytest.mark.parametrize(
    "where",
    [
        "POST /api/repos/create",
        *(f"POST /api/models/ada/protector/{way}" for way in ("commit", "preupload")),
    ],
)
@pytest.mark.parametrize("trouble", [(429, {"Retry_After": "2"}), (500, {}), "reset"])
def test_a_passing_fault_does_not_end_a_push(hub, trained, slept, where, trouble, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.troubles[where] = [trouble]
    assert run(door, ["push", str(trained), "ada/protector"]) == 0
    assert not hub.troubles[where]
    assert "model.safetensors" in hub.repositories["ada/protector"][-1]
