"""Reconstructions of real images, through the command."""

import io
import json
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from PIL import Image
from scipy.fft import dctn, idctn

from checkpoints.folders import PIPELINE_FILES
from datamodules.__main__ import main
from datamodules.fake2m import reconstruct
from datamodules.fake2m.alignment import align, record_generator
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from engine.cli import run as run_command
from engine.records import read_json
from images.archives import Member
from images.samples import read_samples
from models.taef2 import TAEF2

run = partial(run_command, main)


CPU = ["--accelerator", "cpu"]


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


def gray_jpeg():
    buffer = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(levels).save(buffer, format="JPEG")
    return buffer.getvalue()


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
    Image.new("CMYK", (64, 64), (20, 90, 40, 0)).save(buffer, format="JPEG")
    gray = gray_jpeg()
    odd = [
        Member("print.jpg", buffer.getvalue()),
        Member("cut.jpg", gray[:-1500]),
        Member("gray.jpg", gray),
    ]
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
    assert "print" in told
    assert "1 images left out: unreadable" in told
    assert len(records(tmp_path / "out")) == 5
    twin = next(
        sample
        for shard in (tmp_path / "out").glob("*.tar")
        for sample in read_samples(shard)
        if sample.key.endswith("gray")
    )
    assert Image.open(io.BytesIO(twin.image.read())).mode == "L"


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
    shard_images(
        [Member("cut.jpg", gray_jpeg()[:-1500])],
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


def originals(count, seed=0):
    draws = np.random.default_rng(seed)
    for number in range(count):
        record = {"sha256": f"{number:064x}", "jpeg_quality": 70, "chroma": "4:2:0"}
        record["sha256"] = f"{draws.integers(1 << 62):016x}" + "0" * 48
        original, made = draws.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
        yield original, made, record


def test_alignment_compresses_half_and_mixes_a_third():
    found = []
    for original, made, record in originals(400):
        aligned = align(original, made, record, record_generator(record, 0))
        found.append(aligned.facts)
        assert aligned.rgb.shape == made.shape
        again = align(original, made, record, record_generator(record, 0))
        assert np.array_equal(aligned.rgb, again.rgb), "draws depend on seed and original alone"
        if aligned.facts == {"aligned_quality": None, "original_weight": 0.0}:
            assert np.array_equal(aligned.rgb, made)
    compressed = sum(facts["aligned_quality"] == 70 for facts in found)
    mixed = sum(facts["original_weight"] > 0 for facts in found)
    assert 160 < compressed < 240
    assert 110 < mixed < 180, "one minus .8 squared of 400"


def test_a_mix_of_all_frequencies_is_a_mix_of_pixels():
    """DDA's code mixes the coefficients of the whole image's DCT with one weight."""
    original, made, _ = next(originals(1))
    weight = 0.3
    coefficients = [
        dctn(image.astype(float), axes=(0, 1), norm="ortho") for image in (original, made)
    ]
    mixed = weight * coefficients[0] + (1 - weight) * coefficients[1]
    pixels = idctn(mixed, axes=(0, 1), norm="ortho")
    assert np.allclose(pixels, weight * original + (1 - weight) * made.astype(float))


def test_the_record_tells_how_a_twin_was_aligned(pipelines, tmp_path):
    photographs(tmp_path / "real")
    command = ["reconstruct", str(tmp_path / "real" / "*.tar"), "--autoencoder", pipelines[0], *CPU]
    for name, options in (("plain", []), ("aligned", ["--align", "dda", "--seed", "3"])):
        assert run([*command, "--name", "twins", "-o", str(tmp_path / name), *options]) == 0
    plain, aligned = records(tmp_path / "plain"), records(tmp_path / "aligned")
    for key, facts in aligned.items():
        assert 0 <= facts["original_weight"] < 1
        touched = facts["aligned_quality"] is not None or facts["original_weight"] > 0
        assert touched == (facts["sha256"] != plain[key]["sha256"])
    assert all("original_weight" not in facts for facts in plain.values())
    assert any(facts["sha256"] != plain[key]["sha256"] for key, facts in aligned.items())
    # a run before the option resumes
    file = tmp_path / "plain" / "train-twins.run" / "manifest.json"
    manifest = read_json(file, dict[str, Any])
    assert manifest["settings"].pop("align") == "none"
    assert manifest["settings"].pop("seed") == 0
    file.write_text(json.dumps(manifest))
    assert run([*command, "--name", "twins", "-o", str(tmp_path / "plain")]) == 0
