"""The flow-matching pipeline: its training sees what the pipeline shows, and its recipe runs."""

import json

import torch

from models.denoisers import open_family
from models.denoisers.sd3 import StableDiffusion3
from models.faces.backends import load_faces
from models.pipelines import open_pipeline
from tests.conftest import SHIPPED
from tests.tiny.use import check_use
from tiny.autoencoder import build_autoencoder
from tiny.diffusion import tokenize
from tiny.fitting import Place
from tiny.flow import FlowTask, build_text_encoders, build_transformer, flow_pipeline
from tiny.train_flow import FlowRecipe


@torch.no_grad()
def test_the_task_trains_what_the_pipeline_runs(tokenizer):
    network = build_transformer(latent_channels=4, side=8, width=32, layers=3, text_width=24)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    encoders = [encoder.eval() for encoder in build_text_encoders(tokenizer, (8, 16))]
    task = FlowTask(network, encoders, tokenize(tokenizer, [""])[0], steps=2, lr=1e-3)
    captions = ["photo of a person", "photo of a person with pale skin, round glasses"]
    latents, noise, times = (
        torch.randn(2, 4, 8, 8),
        torch.randn(2, 4, 8, 8),
        torch.tensor([0.2, 0.7]),
    )
    loss = task.loss(latents, tokenize(tokenizer, captions), times, noise)

    vae = build_autoencoder((8, 8, 16, 16), 4)
    pipeline = flow_pipeline(vae, network, encoders, tokenizer)
    family = StableDiffusion3("nowhere")
    conditions = family.encode(pipeline, captions)
    share = times.view(-1, 1, 1, 1)
    noisy = (1 - share) * latents + share * noise
    velocity = family.predict(network, noisy, 1000 * times, conditions)
    assert torch.allclose(loss, (velocity - (noise - latents)).square().mean(), rtol=1e-4)


def test_the_loss_of_an_untrained_network_is_the_power_of_the_velocity(tokenizer):
    """Each block starts as the identity, and the output at zero."""
    network = build_transformer(latent_channels=4, side=8, width=32, layers=2, text_width=24)
    encoders = build_text_encoders(tokenizer, (8, 16))
    task = FlowTask(network, encoders, tokenize(tokenizer, [""])[0], steps=2, lr=1e-3)
    latents, noise = torch.randn(2, 4, 8, 8) + 2, torch.randn(2, 4, 8, 8)
    tokens = tokenize(tokenizer, ["photo of a person"]).repeat(2, 1)
    loss = task.loss(latents, tokens, torch.tensor([0.1, 0.9]), noise)
    assert torch.allclose(loss, (noise - latents).square().mean())


def test_the_recipe(tmp_path, portraits):
    place = Place(tmp_path, tmp_path / "work", autoencoder=SHIPPED / "sd-b")
    recipe = FlowRecipe("vae-b", 9, seed=3, width=32, layers=2, text_widths=(8, 16), pictures=32)
    recipe(place, "sd-c", steps=1)
    folder = str(tmp_path / "sd-c")
    note = json.loads((tmp_path / "sd-c" / "training.json").read_text())
    assert (note["steps"], note["seed"], note["batch_size"]) == (1, 3, 32)

    family = open_family(folder)
    pipeline = open_pipeline(folder, family.pipeline_class)
    parts = (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float32}
    images = pipeline("photo of a person", num_inference_steps=2, output_type="pt").images
    assert images.shape == (1, 3, family.side(pipeline), 64)

    check_use(folder, portraits, 1)


def test_the_shipped_pipeline_draws_faces():
    family = open_family(str(SHIPPED / "sd-c"))
    assert (family.network, family.clip_encoders[1][0]) == ("transformer", "text_encoder_2")
    pipeline = open_pipeline(str(SHIPPED / "sd-c"), family.pipeline_class)
    images = pipeline(
        ["photo of a person"] * 8,
        num_inference_steps=20,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images
    assert load_faces(str(SHIPPED / "faces"))(images.float()).detected.sum() >= 6
