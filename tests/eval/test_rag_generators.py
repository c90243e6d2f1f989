"""The large generators on pipelines of a few thousand parameters."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    OmniGenPipeline,
    StableDiffusionXLPipeline,
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
from tests.eval.rag_pipelines import PROMPT, build_omnigen, build_sdxl

PICTURES = (
    np.random.default_rng(0)
    .integers(0, 255, (2, 6, 8, 3), dtype=np.uint8)
    .repeat(8, 1)
    .repeat(8, 2)
)
"""Two references, 48 high and 64 wide."""


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return build_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="module")
def omnigen(tmp_path_factory):
    return build_omnigen(tmp_path_factory.mktemp("omnigen"))


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
