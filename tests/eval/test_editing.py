"""Editing attacks on small untrained pipelines, and how far an edit succeeded."""

import json
import shutil

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit

from engine.job import JobOptions
from eval.arms import Clean, Noise
from eval.attacks.attack import Edit
from eval.attacks.editing import EditRequest, ImageToImageEdit, Inpainting, InstructionEdit
from eval.attacks.single_image import Sampling
from eval.metrics.edit_success import direction, edit_success
from eval.studies.protection import run_study
from models.faces.face_net import FaceNet
from models.pipelines import open_pipeline
from tests.qwen_models import build_qwen_edit
from tiny.dataset import PortraitPeople

SAMPLING = Sampling(samples=2, steps=2)
EDITS = (
    EditRequest("a person in the rain", instruction="let it rain"),
    EditRequest("a person at night", "a person by day", "make it night"),
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("faces")
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pix2pix(pipelines, tmp_path_factory):
    """An untrained InstructPix2Pix: its UNet takes the image's latents beside the noisy ones."""
    torch.manual_seed(0)
    whole = open_pipeline(pipelines[0])
    settings = dict(whole.unet.config)
    settings["in_channels"] *= 2
    parts = dict(whole.components) | {"unet": UNet2DConditionModel.from_config(settings)}
    folder = tmp_path_factory.mktemp("pix2pix")
    StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False).save_pretrained(
        folder
    )
    return str(folder)


def test_each_image_is_edited_as_asked(pipelines, pix2pix, portraits):
    images = portraits[:2, :, 8:56, 8:56]
    for attack in (
        ImageToImageEdit(pipelines[0], EDITS, sampling=SAMPLING),
        InstructionEdit(pix2pix, EDITS, SAMPLING, {"image_guidance_scale": 1.2}),
    ):
        edited = attack(images)
        assert edited.shape == (2 * 2 * 2, 3, 48, 48)
        assert torch.equal(edited[4:], attack(images[1:]))
        assert not torch.equal(edited[0], edited[1])
        assert attack.prompts(1) == [EDITS[0].after] * 2 + [EDITS[1].after] * 2
        assert attack.edits(2)[-1] == Edit(1, "a person by day", "a person at night")
        assert json.dumps(attack.record())


def test_everything_but_the_face_is_painted_anew(pipelines, faces, portraits):
    attack = Inpainting(pipelines[0], EDITS[:1], faces, sampling=SAMPLING)
    edited = attack(portraits[:1])
    x, y, wide, high = (64 * attack.backend(portraits[:1]).boxes[0]).tolist()
    mask = attack.painted(portraits[0], (64, 64))[0].bool()
    assert mask[0, 0] or mask[-1, -1]
    assert not mask[round(y), round(x)]
    assert abs(int((~mask).sum()) - 1.2 * wide * 1.2 * high) < 4 * 64
    assert (edited[0][:, ~mask] == portraits[0][:, ~mask]).all()
    assert (edited[0][:, mask] != portraits[0][:, mask]).float().mean() > 0.9
    # Without a face, the middle is kept.
    attack.backend.threshold = 2.0
    mask = attack.painted(portraits[0], (64, 64))[0]
    assert mask[32 - 19 : 32 + 19, 32 - 19 : 32 + 19].sum() == 0
    assert mask.sum() == 64**2 - 38**2


def test_flow_matching_models_edit_too(flow_pipelines, faces, portraits, tmp_path):
    kontext = tmp_path / "kontext"
    shutil.copytree(flow_pipelines["flux"], kontext)
    index = json.loads((kontext / "model_index.json").read_text())
    index["_class_name"] = "FluxKontextPipeline"
    (kontext / "model_index.json").write_text(json.dumps(index))
    one = Sampling(samples=1, steps=2)
    at_64 = {"max_area": 64 * 64, "_auto_resize": False}
    for attack in (
        InstructionEdit(str(kontext), EDITS[:1], one, at_64),
        ImageToImageEdit(flow_pipelines["sd3"], EDITS[:1], sampling=one),
        Inpainting(flow_pipelines["sd3"], EDITS[:1], faces, sampling=one),
    ):
        edited = attack(portraits[:2])
        assert edited.shape == (2, 3, 64, 64)
        assert not torch.equal(edited[0], edited[1])


def test_qwen_image_edit_sees_the_image_and_reads_the_instruction(portraits, tmp_path, monkeypatch):
    torch.manual_seed(0)
    folder = build_qwen_edit(tmp_path / "qwen")
    # The pipeline works at an area of 1024 x 1024 pixels, whatever the image's.
    sides = pipeline_qwenimage_edit.calculate_dimensions
    monkeypatch.setattr(
        pipeline_qwenimage_edit, "calculate_dimensions", lambda _, ratio: sides(128 * 128, ratio)
    )
    one = Sampling(samples=1, steps=2)
    attack = InstructionEdit(folder, EDITS, one, {"negative_prompt": " ", "true_cfg_scale": 4.0})
    edited = attack(portraits[:2])
    assert edited.shape == (2 * 2, 3, 64, 64)
    assert (edited[0] - edited[1]).abs().max() > 1e-3
    assert (edited[0] - edited[2]).abs().max() > 1e-3
    assert torch.equal(edited[2:], attack(portraits[1:2]))
    unguided = InstructionEdit(folder, EDITS[:1], one)(portraits[:1])
    assert (edited[0] - unguided[0]).abs().max() > 1e-3


def test_settings_out_of_range_are_named(pipelines, faces):
    with pytest.raises(ValueError, match="has no instruction"):
        InstructionEdit("model", [EditRequest("a person at night")])
    with pytest.raises(ValueError, match="strength x steps at least 1"):
        ImageToImageEdit(pipelines[0], sampling=SAMPLING, strength=0.1)
    with pytest.raises(ValueError, match="strength x steps at least 1"):
        Inpainting(pipelines[0], faces=faces, sampling=SAMPLING, strength=0.1)
    with pytest.raises(ValueError, match="margin must be at least 0"):
        Inpainting(pipelines[0], faces=faces, margin=-1)
    with pytest.raises(ValueError, match="samples and steps must be at least 1"):
        Sampling(samples=0)


def test_the_direction_of_a_known_change_is_1():
    asked = torch.tensor([[0.0, 2.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    changed = torch.tensor([[0.0, 0.5], [-3.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    assert direction(changed, asked).tolist() == pytest.approx([1, -1, 0, 0])


class KnownClip:
    """Embeds an image as its first two values, and two words as known vectors."""

    def embed_images(self, images):
        return images.flatten(1)[:, :2]

    def embed_texts(self, words):
        return torch.tensor([[1.0, 0.0] if word == "day" else [0.0, 1.0] for word in words])


def test_the_success_of_edits_by_hand():
    clean = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 1, 2)
    edited = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 1, 2)
    asked = [Edit(0, "day", "night"), Edit(1, "night", "day")]
    assert edit_success(KnownClip(), edited, clean, asked) == pytest.approx(1)
    opposite = [Edit(0, "night", "day"), Edit(1, "night", "day")]
    assert edit_success(KnownClip(), edited, clean, opposite) == pytest.approx(0)
    assert edit_success(KnownClip(), clean, clean, asked) == 0
    nan = edit_success(KnownClip(), edited, clean, [])
    assert nan != nan


def test_a_study_takes_an_attack_that_does_not_train(pipelines, faces, tmp_path):
    outcome = run_study(
        PortraitPeople(1_000_000, 1, 2, 2),
        tmp_path / "out",
        {"clean": Clean(), "noise": Noise()},
        faces,
        Inpainting(pipelines[0], EDITS[:1], faces, sampling=Sampling(samples=1, steps=1)),
        options=JobOptions(workers=0),
    )
    assert set(outcome.table.rows) == {"clean", "noise"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["settings"]["weights"]) == {"attacked", "attacker's network", "faces"}
    assert len(list((tmp_path / "out").glob("people/*/clean/generated_*.png"))) == 2
