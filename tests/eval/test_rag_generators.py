"""The large generators on pipelines of a few thousand parameters."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    LlamaTokenizer,
)

from eval.attacks.rag import ImageToImageGenerator, OmniGenGenerator, ReadingJudge, SdxlGenerator
from eval.attacks.rag.sdxl import NEGATIVE_PROMPT
from eval.studies.rag import run_rag
from eval.studies.rag_database import Database
from images.io import open_photo
from models.drawing import array_to_uint8
from models.image_text_net import ImageTextNet
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from tiny.autoencoder import build_autoencoder
from tiny.diffusion import build_text_encoder, build_tokenizer

PROMPT = "a picture with the letters 'BCDFGH' in it"
PICTURES = (
    np.random.default_rng(0)
    .integers(0, 255, (2, 6, 8, 3), dtype=np.uint8)
    .repeat(8, 1)
    .repeat(8, 2)
)
"""Two references, 48 high and 64 wide."""


def spread(network, scale=3.0):
    """Weights large enough that what a network is given shows in 8-bit levels of what it draws."""
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.data.mul_(scale)
    return network


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    """An SDXL pipeline, and an adapter with its image encoder in the published layout."""
    torch.manual_seed(0)
    root, tokenizer = tmp_path_factory.mktemp("sdxl"), build_tokenizer([PROMPT])
    second = CLIPTextConfig(
        **build_text_encoder(tokenizer, 16, 1).config.to_diff_dict()
        | {"num_hidden_layers": 2, "projection_dim": 16, "eos_token_id": 2}
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        cross_attention_dim=32,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )
    StableDiffusionXLPipeline(
        vae=build_autoencoder((8, 8, 16, 16), 4),
        text_encoder=build_text_encoder(tokenizer, 16, 2),
        text_encoder_2=CLIPTextModelWithProjection(second),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=spread(unet, 1.5),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    ).save_pretrained(root / "base")
    encoder = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    CLIPVisionModelWithProjection(encoder).save_pretrained(
        root / "adapter" / "models" / "image_encoder"
    )
    (root / "adapter" / "sdxl_models").mkdir()
    save_file(
        published_adapter(unet, 16),
        root / "adapter" / "sdxl_models" / "ip-adapter-plus_sdxl_vit-h.safetensors",
    )
    return str(root / "base"), str(root / "adapter")


def published_adapter(unet, width):
    """An IP-Adapter Plus as its authors name its weights."""
    weights, number = {}, 1
    for name in unet.attn_processors:
        if "attn2" in name:
            side = unet.get_submodule(name.removesuffix(".processor")).inner_dim
            made = IPAdapterAttnProcessor2_0(side, unet.config.cross_attention_dim, num_tokens=(4,))
            weights |= {
                f"ip_adapter.{number}.{part}.weight": spread(made).state_dict()[f"{part}.0.weight"]
                for part in ("to_k_ip", "to_v_ip")
            }
            number += 2
    projection = IPAdapterPlusImageProjection(
        width, unet.config.cross_attention_dim, width, heads=1, num_queries=4
    )
    theirs = {
        "ln0": "0.norm1",
        "ln1": "0.norm2",
        "attn.to_q": "0.to_q",
        "attn.to_out.0": "0.to_out",
    }
    theirs |= {"ff.0": "1.0", "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}
    for name, value in projection.state_dict().items():
        place, _, kind = name.rpartition(".")
        layer, number, *inner = place.split(".") if place.startswith("layers.") else ("", "", place)
        inner = ".".join(inner)
        if inner == "attn.to_k":
            values = projection.state_dict()[f"layers.{number}.attn.to_v.weight"]
            weights[f"image_proj.layers.{number}.0.to_kv.weight"] = torch.cat([value, values])
        elif inner != "attn.to_v":
            weights[
                "image_proj." + (f"{layer}.{number}.{theirs[inner]}.{kind}" if layer else name)
            ] = value
    return {name: value.contiguous().clone() for name, value in weights.items()}


@pytest.fixture(scope="module")
def omnigen(tmp_path_factory):
    """An OmniGen pipeline; a picture's token stands for 16 x 16 pixels, as in the real one."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("omnigen")
    transformer = OmniGenTransformer2DModel(
        hidden_size=16,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=16,
        num_layers=2,
        vocab_size=120,
        pad_token_id=0,
        time_step_dim=8,
        pos_embed_max_size=8,
        rope_scaling={"short_factor": [1.0] * 4, "long_factor": [1.0] * 4},
    )
    OmniGenPipeline(
        transformer=spread(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
        vae=build_autoencoder((8, 8, 16, 16), 4),
        tokenizer=LlamaTokenizer().train_new_from_iterator(
            [PROMPT, "<img> </img> <|user|> <|end|>"], vocab_size=120
        ),
    ).save_pretrained(folder)
    return str(folder)


def draw(generator, reference=None, seed=1, caption="BCDFGH", prompt=PROMPT):
    return asyncio.run(generator.draw(prompt, reference, caption, seed))


@pytest.fixture(params=["sdxl", "omnigen", "img2img"])
def generator(request, pipelines):
    if request.param == "sdxl":
        base, adapter = request.getfixturevalue("sdxl")
        return SdxlGenerator(base, adapter, steps=2, device="cpu")
    if request.param == "omnigen":
        return OmniGenGenerator(request.getfixturevalue("omnigen"), steps=2, side=64, device="cpu")
    return ImageToImageGenerator(pipelines[0], steps=4)


def test_a_picture_goes_into_the_drawing_and_seeds_repeat_it(generator, monkeypatch):
    opened = []
    for kind in (StableDiffusionXLPipeline, OmniGenPipeline):
        monkeypatch.setattr(kind, "from_pretrained", counted(kind.from_pretrained, opened))
    plain, first, second = (draw(generator, reference) for reference in (None, *PICTURES))
    assert all(
        drawn.shape == (64, 64, 3) and drawn.dtype == np.uint8 for drawn in (plain, first, second)
    )
    assert np.ptp(first) > 20
    differences = [
        np.abs(one.astype(int) - other).mean() for one, other in ((plain, first), (first, second))
    ]
    assert min(differences) > 0.5
    torch.rand(7)  # whatever else draws random numbers
    assert (draw(generator, PICTURES[0]) == first).all()
    assert (draw(generator) == plain).all()
    assert (draw(generator, PICTURES[0], seed=2) != first).any()
    assert (draw(generator, PICTURES[0], prompt="quite another thing") != first).any()
    assert len(opened) <= 1


def counted(load, opened):
    def loading(*args, **more):
        opened.append(args)
        return load(*args, **more)

    return loading


def test_pictures_are_drawn_one_at_a_time_beside_the_loop(generator):
    drawing, seen = [], []
    generate = generator.generate

    def watched(*args):
        drawing.append(1)
        seen.append(len(drawing))
        made = generate(*args)
        drawing.pop()
        return made

    generator.generate = watched
    ticks = 0

    async def together():
        nonlocal ticks
        work = [
            asyncio.create_task(generator.draw(PROMPT, PICTURES[0], "x", seed)) for seed in range(3)
        ]
        while not all(task.done() for task in work):
            await asyncio.sleep(0.01)
            ticks += 1
        return [task.result() for task in work]

    pictures = asyncio.run(together())
    assert seen == [1, 1, 1]
    assert ticks > 3
    assert (draw(generator, PICTURES[0], seed=2, caption="x") == pictures[2]).all()


def test_an_adapter_that_is_given_nothing_leaves_sdxl_as_it_is(sdxl):
    base, adapter = sdxl
    without = StableDiffusionXLPipeline.from_pretrained(base)
    generator = torch.Generator().manual_seed(1)
    alone = without(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_inference_steps=2,
        guidance_scale=5.0,
        generator=generator,
        output_type="np",
    )
    assert (
        draw(SdxlGenerator(base, adapter, steps=2, device="cpu")) == array_to_uint8(alone.images[0])
    ).all()
    stronger, weaker = (
        draw(SdxlGenerator(base, adapter, steps=2, scale=scale, device="cpu"), PICTURES[0])
        for scale in (1.0, 0.1)
    )
    near = [
        np.abs(drawn.astype(int) - array_to_uint8(alone.images[0])).mean()
        for drawn in (stronger, weaker)
    ]
    assert near[0] > near[1]


def test_words_that_stand_for_pictures_are_taken_out_of_captions(omnigen):
    generator = OmniGenGenerator(omnigen, steps=1, side=32, device="cpu")
    said = draw(generator, PICTURES[0], caption="a <|image_2|> thing</img>")
    assert (said == draw(generator, PICTURES[0], caption="a  thing")).all()
    with pytest.raises(ValueError, match="multiple of 16"):
        OmniGenGenerator(omnigen, side=40)


def test_weights_are_named_and_missing_ones_are_told(generator, sdxl):
    names = {file for weights in generator.settings()["weights"] for file in weights["sha256"]}
    assert any("vae" in name for name in names)
    base, adapter = sdxl
    if isinstance(generator, SdxlGenerator):
        assert {
            "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors",
            "models/image_encoder/model.safetensors",
        } <= names
        with pytest.raises(FileNotFoundError, match=r"ip-adapter_sdxl\.safetensors is missing"):
            draw(
                SdxlGenerator(
                    base, adapter, weight_name="ip-adapter_sdxl.safetensors", device="cpu"
                )
            )


def test_sdxl_runs_in_the_whole_flow(sdxl, collection, tmp_path):
    reads = tmp_path / "reads"
    ImageTextNet(["a"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=1.0).save_pretrained(
        reads
    )
    plant(collection, tmp_path / "s", LocalPlanter(), PlantConfig(count=2, seed=3), None)
    generator = SdxlGenerator(*sdxl, steps=1, device="cpu")
    database = Database(collection, embedder=str(reads), accelerator="cpu")
    done = run_rag(
        tmp_path / "s" / "record.json",
        tmp_path / "out",
        database,
        generator,
        ReadingJudge(str(reads)),
        ("protected",),
        seed=5,
    )
    for entry in done.arms["protected"].entries.values():
        (trial,) = entry["trials"]
        found, caption = open_photo(Path(trial["retrieved_images"][0])).rgb, trial["caption"]
        final = open_photo(tmp_path / "out" / "protected" / "images" / trial["final_image"]).rgb
        assert (final == draw(generator, found, 5, caption, trial["final_prompt"])).all()
