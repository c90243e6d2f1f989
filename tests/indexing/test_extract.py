"""indexing extract."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from indexing.index import Index
from models.store import VectorStore
from tests.indexing.commands import indexing


def test_unreadable_pictures_are_named_and_left_out(references, extractor, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(references / "0000.png", folder / "good.png")
    (folder / "bad.png").write_text("no picture")
    (folder / "cut.png").write_bytes((references / "0001.png").read_bytes()[:200])
    (folder / "notes.md").write_text("")
    assert (
        indexing(
            "extract",
            folder,
            "-o",
            tmp_path / "f",
            "--extractor.name",
            extractor,
            "--workers=0",
            "--fts=true",
        )
        == 1
    )
    told = capsys.readouterr().err
    assert "bad.png: not a valid image file" in told
    assert "cut.png: damaged" in told
    assert "skipped notes.md" in told
    features = VectorStore.open(tmp_path / "f")
    assert features.names == [str(folder / "good.png")]
    assert torch.equal(
        torch.load(tmp_path / "f" / "fts.pt", weights_only=True),
        torch.from_numpy(np.array(features.matrix)),
    )


def test_a_stopped_extraction_goes_on(references, extractor, tmp_path):
    out, arguments = (
        tmp_path / "f",
        ("--extractor.name", extractor, "--workers=0", "--batch-size=20"),
    )
    assert indexing("extract", references, "-o", out, *arguments) == 0
    matrix = np.load(out / "features.npy")
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        del line["crc32"]  # lines written by hand, as those of earlier versions, have no sum
    marked = [
        line | {"row": {"part": "vectors-0.partial", "row": place}}
        for place, line in enumerate(lines[:60])
    ]
    (out / "journal.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in marked) + '{"name": "cut sho'
    )
    # Marked values show which rows are not computed again.
    np.full((60, 16), 7, np.float32).tofile(out / "vectors-0.partial")
    for name in ("features.npy", "features.json", "filenames.txt", "images.jsonl"):
        (out / name).unlink()
    assert indexing("extract", references, "-o", out, *arguments) == 0
    again = np.load(out / "features.npy")
    assert (again[:60] == 7).all()
    assert np.array_equal(again[60:], matrix[60:])
    assert not list(out.glob("*.partial"))


def test_two_processes_describe_what_one_describes(references, extractor, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(11):
        shutil.copy(references / f"{number:04d}.png", folder)
    for name in ("0003.png", "0004.png"):  # one for each process
        (folder / name).write_text("no picture")
    arguments = [
        "extract",
        folder,
        "--extractor.name",
        extractor,
        "--workers=0",
        "--accelerator=cpu",
    ]
    assert indexing(*arguments, "-o", tmp_path / "one") == 1
    command = [
        sys.executable,
        "-m",
        "indexing",
        *map(str, arguments),
        "-o",
        str(tmp_path / "two"),
        "--devices=2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    for told in (capsys.readouterr().err, done.stderr):
        assert [f"{name}: not a valid image file" in told for name in ("0003.png", "0004.png")] == [
            True,
            True,
        ]
    for name in ("features.npy", "filenames.txt", "features.json", "images.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["counts"] == {
        "done": 9,
        "failed": 2,
        "skipped": 0,
    }


def test_changed_and_new_images_are_described_again_and_no_others(
    references, extractor, tmp_path, capsys
):
    folder, arguments = (
        tmp_path / "in",
        ("--extractor.name", extractor, "--workers=0", "--batch-size=1"),
    )
    folder.mkdir()
    for number in range(4):
        shutil.copy(references / f"{number:04d}.png", folder)
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert "nothing to do" in capsys.readouterr().out
    shutil.copy(references / "0050.png", folder / "0002.png")
    shutil.copy(references / "0051.png", folder / "9999.png")
    (folder / "0000.png").unlink()
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert indexing("extract", folder, "-o", tmp_path / "new", *arguments) == 0
    for name in ("features.npy", "filenames.txt", "images.jsonl"):
        assert (tmp_path / "f" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_names_with_other_line_ends_are_kept_and_line_feeds_refused_before_the_work(
    references, extractor, tmp_path, capsys
):
    folder = tmp_path / "in"
    folder.mkdir()
    odd = ["a\u2028b.png", "c\x85d.png", "e\x0bf.png", "plain.png"]
    for number, name in enumerate(odd):
        shutil.copy(references / f"{number:04d}.png", folder / name)
    bytes_name = folder / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    shutil.copy(references / "0005.png", bytes_name)
    assert (
        indexing(
            "extract", folder, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
        )
        == 0
    )
    store = VectorStore.open(tmp_path / "f")
    assert sorted(store.labels) == sorted([*odd, bytes_name.name])
    assert indexing("build", tmp_path / "f", "-o", tmp_path / "i", "--factory=Flat") == 0
    assert Index.open(tmp_path / "i").names == store.names
    shutil.copy(references / "0006.png", folder / "g\nh.png")
    capsys.readouterr()
    assert (
        indexing(
            "extract", folder, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
        )
        == 1
    )
    assert "has a line break in it" in capsys.readouterr().err
    assert len(VectorStore.open(tmp_path / "f")) == 5


class Program(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def test_torchscript_only_if_trusted(references, tmp_path, capsys):
    torch.jit.script(Program()).save(tmp_path / "net.torchscript.pt")
    arguments = (
        "extract",
        references,
        "-o",
        tmp_path / "f",
        "--extractor.name",
        tmp_path / "net.torchscript.pt",
        "--workers=0",
    )
    assert indexing(*arguments) == 2
    assert "runs the stranger's code" in capsys.readouterr().err
    assert (
        indexing(*arguments, "--trust-torchscript", "--extractor.size=16", "--extractor.unit=true")
        == 0
    )
    assert np.linalg.norm(VectorStore.open(tmp_path / "f").matrix, axis=1) == pytest.approx(
        np.ones(100), abs=1e-5
    )
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pt")
    assert (
        indexing(
            "extract",
            references,
            "-o",
            tmp_path / "g",
            "--extractor.name",
            tmp_path / "state.pt",
            "--trust-torchscript",
        )
        == 2
    )
    assert "a state dict needs its architecture" in capsys.readouterr().err
    assert (
        indexing(
            *arguments[:3],
            tmp_path / "g",
            "--extractor.name",
            "timm:resnet10t",
            "--extractor.weights",
            arguments[5],
        )
        == 2
    )
    assert "a TorchScript program, not plain weights" in capsys.readouterr().err


def test_networks_of_the_libraries(references, tmp_path):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    one = references / "0000.png"
    arguments = (
        "--extractor.name",
        "timm:resnet10t",
        "--extractor.weights",
        tmp_path / "weights.safetensors",
        "--workers=0",
    )
    assert indexing("extract", one, "-o", tmp_path / "f", *arguments, "--extractor.size=64") == 0
    assert VectorStore.open(tmp_path / "f").matrix.shape == (1, 512)
