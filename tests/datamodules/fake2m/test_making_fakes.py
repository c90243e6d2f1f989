"""Sets of generated pictures made with really running pipelines and autoencoders, through the commands."""

import io
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from PIL import Image

from checkpoints.folders import PIPELINE_FILES
from datamodules.__main__ import main
from datamodules.fake2m import reconstruct
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from engine.cli import run as run_command
from images.archives import Member
from images.samples import read_samples
from models.taef2 import TAEF2

run = partial(run_command, main)
CPU = ["--accelerator", "cpu"]


@pytest.fixture
def captions(tmp_path):
    (tmp_path / "captions.txt").write_text(
        "photo of a person\n\nphoto of a person with glasses\nphoto of nobody\n"
    )
    return str(tmp_path / "captions.txt")


def synthesis(captions, pipeline, output, *more):
    arguments = [
        "--model",
        pipeline,
        "--name",
        "small",
        "--steps",
        "2",
        "--per_shard",
        "2",
        "--batch_size",
        "2",
    ]
    return run(["synthesize", captions, "-o", str(output), *arguments, *CPU, *more])


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def test_captions_become_shards_with_their_provenance(captions, pipelines, tmp_path):
    scheduler = ["--scheduler", "DPMSolverMultistepScheduler", "--codec", "bmp"]
    assert synthesis(captions, pipelines[0], tmp_path / "out", *scheduler) == 0
    records = [
        facts for path in sorted((tmp_path / "out").glob("*.tar")) for _, facts in read_facts(path)
    ]
    assert [record["caption"] for record in records] == [
        "photo of a person",
        "photo of a person with glasses",
        "photo of nobody",
    ]
    assert {
        (record["label"], record["sampler"], record["steps"], record["codec"]) for record in records
    } == {(1, "DPMSolverMultistepScheduler", 2, "bmp")}
    assert [record["seed"] for record in records] == [0, 1, 2]
    assert {(record["width"], record["height"]) for record in records} == {(64, 64)}
    index = json.loads((tmp_path / "out" / "train-small.json").read_text())
    assert index["samples"] == 3
    assert [shard["samples"] for shard in index["shards"]] == [2, 1]
    manifest = json.loads((tmp_path / "out" / "train-small.run" / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["settings"]["captions"]["count"] == 3


def test_a_stopped_run_goes_on_and_other_settings_are_refused(
    captions, pipelines, tmp_path, capsys
):
    assert synthesis(captions, pipelines[0], tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    (tmp_path / "part" / "train-small-000001.tar").unlink()
    kept = tmp_path / "part" / "train-small-000000.tar"
    stamp = kept.stat().st_mtime_ns
    assert synthesis(captions, pipelines[0], tmp_path / "part") == 0
    assert bytes_of(tmp_path / "part") == bytes_of(tmp_path / "whole")
    assert kept.stat().st_mtime_ns == stamp
    assert synthesis(captions, pipelines[0], tmp_path / "part", "--guidance", "1.5") == 2
    assert "holds results of other settings" in capsys.readouterr().err


CODED = [
    ("JPEG", {"quality": 83, "subsampling": 1}),
    ("PNG", {}),
    ("BMP", {}),
    ("WEBP", {"quality": 80}),
]


def photographs(folder):
    members = []
    for number, (codec, options) in enumerate(CODED):
        buffer = io.BytesIO()
        small = np.random.default_rng(number).integers(0, 255, (9, 11, 3), dtype=np.uint8)
        Image.fromarray(small).resize((45, 37)).save(buffer, format=codec, **options)
        members.append(Member(f"photos/{number}.x", buffer.getvalue()))
    shard_images(
        members,
        folder,
        lambda path: Origin("train", "photos", REAL, family="real"),
        limits=Limits(samples=3),
    )


def records(folder):
    return {key: facts for path in sorted(folder.glob("*.tar")) for key, facts in read_facts(path)}


@pytest.mark.parametrize("kind", ["pipeline", "taef2"])
def test_reconstructions_are_coded_as_the_real_ones(pipelines, tmp_path, kind):
    photographs(tmp_path / "real")
    autoencoder = pipelines[0]
    if kind == "taef2":
        autoencoder = str(tmp_path / "taef2")
        (tmp_path / "taef2").mkdir()
        for part in ("encoder", "decoder"):
            torch.save(
                getattr(TAEF2(), part).state_dict(), tmp_path / "taef2" / f"taef2_{part}.pth"
            )
    arguments = ["--autoencoder", autoencoder, "--name", "twins", *CPU]
    assert (
        run(
            [
                "reconstruct",
                str(tmp_path / "real" / "*.tar"),
                "-o",
                str(tmp_path / "out"),
                *arguments,
            ]
        )
        == 0
    )
    real, made = records(tmp_path / "real"), records(tmp_path / "out")
    assert set(real) == set(made)
    for key, facts in made.items():
        same = ("codec", "width", "height", "jpeg_quality", "chroma")
        assert {name: facts[name] for name in same} == {name: real[key][name] for name in same}
        assert facts["label"] == 1
        assert facts["twin"] == real[key]["sha256"] != facts["sha256"]
        assert facts["caption_id"] == f"{real[key]['subset']}/{real[key]['source_path']}", (
            "a picture and its twin are resampled together"
        )
    assert len(list((tmp_path / "out").glob("*.tar"))) == 2
    assert len(read_samples(tmp_path / "out" / "train-twins-000000.tar")) == 3


def test_pictures_that_cannot_have_a_twin_are_counted(pipelines, tmp_path, capsys):
    photographs(tmp_path / "real")
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(
        buffer, format="JPEG"
    )
    odd = [Member("grey.jpg", buffer.getvalue()), Member("cut.jpg", buffer.getvalue()[:-1500])]
    shard_images(odd, tmp_path / "real", lambda path: Origin("train", "odd", REAL, family="real"))
    arguments = ["--autoencoder", pipelines[0], "--name", "twins", *CPU]
    assert (
        run(
            [
                "reconstruct",
                str(tmp_path / "real" / "*.tar"),
                "-o",
                str(tmp_path / "out"),
                *arguments,
            ]
        )
        == 1
    )
    told = capsys.readouterr().err
    assert "1 images left out: cannot be coded as it was" in told
    assert "grey" in told
    assert "1 images left out: unreadable" in told
    assert len(records(tmp_path / "out")) == 4


def test_photos_with_camera_notes_have_twins_with_the_same_notes(pipelines, tmp_path, capsys):
    notes = Image.Exif()
    notes[0x010F] = "a camera"
    notes[0x0112] = 6  # turned
    buffer = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(levels).save(buffer, format="JPEG", exif=notes)
    shard_images(
        [Member("a.jpg", buffer.getvalue())],
        tmp_path / "real",
        lambda path: Origin("train", "x", REAL, family="real"),
    )
    arguments = ["--autoencoder", pipelines[0], "--name", "twins", *CPU]
    assert (
        run(
            [
                "reconstruct",
                str(tmp_path / "real" / "*.tar"),
                "-o",
                str(tmp_path / "out"),
                *arguments,
            ]
        )
        == 0
    )
    (sample,) = read_samples(next((tmp_path / "out").glob("*.tar")))
    with Image.open(io.BytesIO(sample.image.read())) as twin:
        assert twin.getexif()[0x010F] == "a camera"
        assert twin.size == (64, 96)


def test_a_source_without_an_image_to_reconstruct_is_an_error(pipelines, tmp_path, capsys):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(
        buffer, format="JPEG"
    )
    shard_images(
        [Member("grey.jpg", buffer.getvalue())],
        tmp_path / "real",
        lambda path: Origin("train", "x", REAL, family="real"),
    )
    arguments = ["--autoencoder", pipelines[0], "--name", "twins", *CPU]
    assert (
        run(
            [
                "reconstruct",
                str(tmp_path / "real" / "*.tar"),
                "-o",
                str(tmp_path / "out"),
                *arguments,
            ]
        )
        == 2
    )
    assert "no image could be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["synthesize", "none.txt", "--model", "m", "--name", "n"], "none.txt"),
        (["synthesize", "captions.txt", "--model", "m", "--name", "n"], "no model at 'm'"),
        (
            ["synthesize", "captions.txt", "--model", "m", "--name", "n", "--scheduler", "Euler"],
            "diffusers has no scheduler 'Euler'",
        ),
        (
            ["synthesize", "captions.txt", "--model", "m", "--name", "n", "--steps", "0"],
            "must be at least 1",
        ),
        (["synthesize", "empty.txt", "--model", "m", "--name", "n"], "no captions to draw from"),
        (["reconstruct", "x-*.tar", "--autoencoder", "m", "--name", "n"], "no shards at x-*.tar"),
    ],
)
def test_mistakes_are_one_line(arguments, words, captions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    assert run([*arguments, "-o", "out", *CPU]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_names_are_made_safe_for_shards(captions, pipelines, tmp_path, capsys):
    assert synthesis(captions, pipelines[0], tmp_path / "out", "--name", "SD 1.5/x{1..2}") == 0
    assert {path.name for path in (tmp_path / "out").glob("*.tar")} == {
        f"train-SD-1-5-x-1--2-{n:06d}.tar" for n in range(2)
    }
    assert synthesis(captions, pipelines[0], tmp_path / "out", "--name", "///") == 2
    assert "no letter or digit" in capsys.readouterr().err


def test_only_what_is_opened_is_downloaded():
    files = [
        *(
            "model_index.json",
            "README.md",
            "v1-5-pruned.safetensors",
            "v1-5-pruned.ckpt",
            "unet/config.json",
        ),
        *(
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.bin",
        ),
        *(
            "text_encoder/model-00001-of-00002.safetensors",
            "text_encoder/model.fp16-00001-of-00002.safetensors",
        ),
        *(
            "text_encoder/model.safetensors.index.json",
            "tokenizer/spiece.model",
            "tokenizer/merges.txt",
        ),
        *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    ]
    pipeline = set(filter_repo_objects(files, allow_patterns=PIPELINE_FILES))
    assert set(files) - pipeline == {
        *(
            "README.md",
            "v1-5-pruned.safetensors",
            "v1-5-pruned.ckpt",
            "unet/diffusion_pytorch_model.fp16.safetensors",
        ),
        *("unet/diffusion_pytorch_model.bin", "text_encoder/model.fp16-00001-of-00002.safetensors"),
    }
    assert set(filter_repo_objects(files, allow_patterns=reconstruct.AUTOENCODER_FILES)) == {
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
