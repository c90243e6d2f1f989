"""The flow-matching pipeline: its training sees what the pipeline shows, and its recipe runs."""

import json

import pytest
import torch

from models.denoisers import open_family
from models.denoisers.sd3 import StableDiffusion3
from models.pipelines import open_pipeline
from tests.conftest import SHIPPED
from tests.tiny.use import check_use
from tiny.autoencoder import build_autoencoder
from tiny.diffusion import tokenize
from tiny.fitting import Place
from tiny.flow import FlowTask, build_text_encoders, build_transformer, flow_pipeline
from tiny.train_flow import FlowRecipe


@pytest.fixture
def task(tokenizer):
    """The task of a small network whose weights are all at work."""
    network = build_transformer(latent_channels=4, side=8, width=32, layers=3, text_width=24)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    encoders = [encoder.eval() for encoder in build_text_encoders(tokenizer, (8, 16))]
    return FlowTask(network, encoders, tokenize(tokenizer, [""])[0], steps=2, lr=1e-3)


@torch.no_grad()
def test_the_task_trains_what_the_pipeline_runs(task, tokenizer):
    """One zero token weighs as much as the 256 that diffusers puts in place of T5's output."""
    captions = ["photo of a person", "photo of a person with pale skin, round glasses"]
    latents, times = torch.randn(2, 4, 8, 8), torch.tensor([0.2, 0.7])
    text, pooled = task.encode(tokenize(tokenizer, captions))
    velocity = task.transformer(latents, text, pooled, 1000 * times).sample

    network = build_transformer(latent_channels=4, side=8, width=32, layers=3, text_width=24)
    network.load_state_dict(task.transformer.state_dict())
    vae = build_autoencoder((8, 8, 16, 16), 4)
    pipeline = flow_pipeline(vae, network, task.text_encoders, tokenizer)
    family = StableDiffusion3("nowhere")
    conditions = family.encode(pipeline, captions)
    assert conditions["encoder_hidden_states"].shape[1] == text.shape[1] + 255
    expected = family.predict(network, latents, 1000 * times, conditions)
    assert torch.allclose(velocity, expected, rtol=1e-4, atol=1e-4)
    alone = torch.cat([text[:, :-1], text[:, -1:].expand(-1, 2, -1)], dim=1)
    fewer = network(latents, alone, pooled, 1000 * times).sample
    assert not torch.allclose(fewer, expected, atol=0.01)


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
