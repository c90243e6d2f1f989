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

from eval.attacks.rag import (
    FlowConfig,
    Generator,
    ImageToImageGenerator,
    OmniGenGenerator,
    RagFlow,
    ReadingJudge,
    SdxlGenerator,
)
from eval.attacks.rag.sdxl import NEGATIVE_PROMPT
from eval.studies.rag import run_rag
from eval.studies.rag_database import Database
from images.io import open_photo, save_png
from images.photo import Photo
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
    references = [] if reference is None else [reference]
    return asyncio.run(generator.draw(prompt, references, caption, seed))


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


def test_several_references_go_into_the_drawing(generator):
    def drawn(*references):
        return asyncio.run(generator.draw(PROMPT, references, "BCDFGH", 1))

    one, both = drawn(PICTURES[0]), drawn(*PICTURES)
    starts_from_one = isinstance(generator, ImageToImageGenerator)
    assert (one == both).all() == starts_from_one
    assert (drawn(*PICTURES) == both).all()


class Searched:
    """Finds images by caption, and counts the searches."""

    def __init__(self, folder):
        self.folder, self.found = folder, {"x": ["a", "b", "c"], "y": ["a"], "z": ["d", "e"]}

    async def search(self, caption, top_k, salt=""):
        return [(name, 0.5) for name in self.found[caption][:top_k]]

    def path(self, name):
        return self.folder / f"{name}.png"


class Judged(ReadingJudge):
    def __init__(self):
        super().__init__("none")

    async def concepts(self, image, prompt, salt):
        return ["x", "y", "z"]


class Drawn(Generator):
    async def draw(self, prompt, references, caption, seed):
        self.references = [int(reference[0, 0, 0]) for reference in references]
        return np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("count", "levels"), [(1, [1]), (2, [1, 2]), (3, [1, 4, 2]), (9, [1, 4, 2, 3])]
)
def test_references_are_the_best_of_each_caption_and_then_the_next(tmp_path, count, levels):
    for level, name in enumerate("abcde", start=1):
        save_png(Photo(np.full((4, 4, 3), level, np.uint8)), tmp_path / f"{name}.png")
    drawer = Drawn()
    config = FlowConfig(mode="search_first", references=count)
    flow = RagFlow(Judged(), Searched(tmp_path), drawer, config)
    trial = asyncio.run(flow.answer("p", 1, 0, tmp_path / "out", "k"))
    assert drawer.references == levels
    assert len(trial.get("references", [1])) == len(levels)
    assert [Path(path).stem for path in trial["retrieved_images"]] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="references must be at least 1"):
        FlowConfig(references=0)


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
            asyncio.create_task(generator.draw(PROMPT, [PICTURES[0]], "x", seed))
            for seed in range(3)
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
