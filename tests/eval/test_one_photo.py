"""One-photo attacks, with small random adapters in the released layout."""

import json

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from eval.attacks.one_photo import IPAdapter, IPAdapterFaceID
from eval.attacks.single_image import Sampling
from models.faces.face_net import FaceNet
from tests.eval.adapters import FACE, save_adapters

SAMPLING = Sampling(samples=2, steps=2, guidance=3.0)
PROMPTS = ("a photo of a person", "a portrait")


@pytest.fixture(scope="module")
def adapters(pipelines, tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, UNet2DConditionModel.from_pretrained(pipelines[0], subfolder="unet"))
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Face networks that find a face in every image, in none, and with longer embeddings."""
    folder = tmp_path_factory.mktemp("faces")
    for name, size, threshold in (("all", FACE, 0.0), ("none", FACE, 1.0), ("long", 9, 0.0)):
        torch.manual_seed(0)
        net = FaceNet(channels=(4, 4, 4, 4), embedding=size, threshold=threshold)
        net.save_pretrained(folder / name)
    return folder


def build(kind, pipelines, adapters, embedder, **settings):
    common = {"model": pipelines[0], "adapter": str(adapters), "sampling": SAMPLING} | settings
    if kind == "faceid":
        file = "ip-adapter-faceid.bin"
        return IPAdapterFaceID(file=file, faces=str(embedder), **common)
    return IPAdapter(file=f"models/ip-adapter{kind}.safetensors", **common)


@pytest.mark.parametrize("kind", ["", "-plus", "faceid"])
def test_each_photo_is_the_reference_in_turn(kind, pipelines, adapters, faces, portraits):
    attack = build(kind, pipelines, adapters, faces / "all", prompts=PROMPTS)
    steps = []
    generated = attack(portraits[:2], steps.append)
    assert generated.shape == (2 * 2 * 2, 3, 64, 64)
    assert len(steps) == attack.steps(2) == 4
    assert attack.prompts(2) == [*[PROMPTS[0]] * 2, *[PROMPTS[1]] * 2] * 2
    assert torch.equal(generated[4:], attack(portraits[1:2]))
    assert not torch.equal(generated[:4], generated[4:])
    assert torch.equal(generated, attack.to("cpu")(portraits[:2]))
    assert ("faceid_0" in getattr(attack.pipeline.unet, "peft_config", {})) == (kind == "faceid")
    # Without weight, the photo changes nothing: these are the model's own images.
    attack.pipeline.set_ip_adapter_scale(0.0)
    model = StableDiffusionPipeline.from_pretrained(pipelines[0])
    model.set_progress_bar_config(disable=True)
    own = model(
        PROMPTS[0],
        num_images_per_prompt=2,
        generator=SAMPLING.generators(),
        **SAMPLING.arguments(),
    ).images
    assert torch.allclose(attack(portraits[:1])[:2], own, atol=1e-4)


def test_a_photo_without_a_face_shows_nobody(pipelines, adapters, faces, portraits):
    attack = build("faceid", pipelines, adapters, faces / "none")
    generated = attack(portraits[:2])
    assert torch.equal(generated[:2], generated[2:])


def test_another_embedder_than_the_adapters_is_named(pipelines, adapters, faces, portraits):
    attack = build("faceid", pipelines, adapters, faces / "long")
    with pytest.raises(ValueError, match=f"embeds faces in 9 values, but .* takes {FACE}"):
        attack(portraits[:1])


def test_a_pipeline_without_adapters_is_refused(flow_pipelines, adapters, portraits):
    attack = IPAdapter(flow_pipelines["sd3"], str(adapters), "ip-adapter-faceid.bin")
    with pytest.raises(ValueError, match=r"needs one of SD 1\.x, 2\.x or XL"):
        attack(portraits[:1])


def test_models_are_recorded_and_missing_ones_named(pipelines, adapters, faces):
    assert set(build("", pipelines, adapters, faces).weights()) == {
        "attacked",
        "adapter",
        "image encoder",
    }
    attack = build("faceid", pipelines, adapters, faces / "all")
    assert set(attack.weights()) == {"attacked", "adapter", "attacker's network"}
    assert json.dumps(attack.record())
    assert (
        attack.record() != build("faceid", pipelines, adapters, faces / "all", scale=0.5).record()
    )
    with pytest.raises(FileNotFoundError, match=r"ip-adapter-x\.safetensors is missing"):
        build("-x", pipelines, adapters, faces).files()
    with pytest.raises(ValueError, match="name at least one prompt"):
        build("", pipelines, adapters, faces, prompts=())
