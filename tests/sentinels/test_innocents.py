"""An innocent generator shows the keys it is asked for, and is not accused."""

import asyncio
from functools import cache

import numpy as np
import pytest
from scipy.stats import kstest

from images.io import to_rgb
from models.embedders import open_embedder
from sentinels.permutation import permutation_test, sequential_test
from sentinels.plant import PlantConfig, key_maker
from sentinels.planters import LocalPlanter
from tests.conftest import SHIPPED
from tiny.dataset import PortraitDataset

STUDIES, FEW, KEYS, POOL = 50, 20, 7, 21

EMBEDDER = str(SHIPPED / "embedder")


def portraits(first):
    items = PortraitDataset(first, POOL, 1, 64).__getitems__(list(range(POOL)))
    return [to_rgb(item["image"]) for item in items]


def keyed(image, key, seed):
    return asyncio.run(LocalPlanter().plant(image, key, seed, 0)).rgb


@cache
def studies(kind):
    """Sources and other images, and in each study 7 of both, with keys on them.

    The innocent generator shows keys just as the owner does, on images of its own. The first
    studies have sentinels, too.
    """
    sources, others = portraits(1_800_000), portraits(1_900_000)
    drawn, answers, sentinels = [], [], []
    for seed in range(STUDIES):
        maker = key_maker(PlantConfig(key_kind=kind), LocalPlanter(), seed)
        rng = np.random.default_rng(seed)
        chosen, imagined = rng.choice(POOL, KEYS, False), rng.choice(POOL, KEYS, False)
        keys = [maker.draw(f"{name}/0") for name in chosen]
        drawn.append(chosen)
        for place, other, key in zip(chosen, imagined, keys, strict=True):
            answers.append(keyed(others[other], key, seed))
            if seed < FEW:
                sentinels.append(keyed(sources[place], key, 1000 + seed))
    return sources, np.stack(drawn), answers, sentinels


@pytest.fixture(scope="module")
def embed(models):
    """Embed images by an offered similarity model; ``reads`` is the shipped one that reads."""
    opened = {}

    def embed(model, images):
        if model not in opened:
            shipped = model in ("shipped", "reads")
            name = EMBEDDER if shipped else str(models / model)
            opened[model] = open_embedder(name, appearance=model != "reads")
        return opened[model].embed_arrays(images).double().numpy()

    return embed


def by_study(vectors):
    return vectors.reshape(-1, KEYS, vectors.shape[1])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *((model, "letters") for model in ("shipped", "reads", "clip", "siglip", "dino", "dinov2")),
        ("shipped", "words"),
    ],
)
def test_p_is_uniform_for_an_innocent_generator_that_shows_the_key(embed, model, kind):
    sources, drawn, answers, _ = studies(kind)
    outputs, references = by_study(embed(model, answers)), embed(model, sources)[drawn]
    cosines = outputs @ references.transpose(0, 2, 1)
    values = [permutation_test(one, 0).p for one in cosines]
    assert kstest(values, "uniform").pvalue > 0.01
    # The e-values of the sequential test are 1 in the mean.
    evidence = [sequential_test(one).evidence[-1] for one in cosines]
    assert np.mean(evidence) < 1 + 3 * np.std(evidence) / np.sqrt(STUDIES)


def test_a_model_that_reads_accuses_the_innocent_if_it_is_compared_with_the_sentinels(embed):
    _, _, answers, sentinels = studies("letters")
    outputs, references = (
        by_study(embed("reads", images[: FEW * KEYS])) for images in (answers, sentinels)
    )
    cosines = outputs @ references.transpose(0, 2, 1)
    values = [permutation_test(one, 0).p for one in cosines]
    assert kstest(values, "uniform").pvalue < 1e-6, "the published comparison is not a valid test"
    assert np.mean(np.array(values) <= 0.05) > 0.5


@pytest.mark.parametrize(
    ("model", "kind"), [("shipped", "letters"), ("reads", "letters"), ("shipped", "words")]
)
def test_a_system_that_uses_the_sentinels_is_found(embed, model, kind):
    sources, drawn, answers, sentinels = studies(kind)
    # Half of what it retrieves, half of what it imagines, with the key elsewhere.
    mixed = [
        (retrieved // 2 + imagined // 2).astype(np.uint8)
        for retrieved, imagined in zip(sentinels, answers, strict=False)
    ]
    outputs, references = by_study(embed(model, mixed)), embed(model, sources)[drawn[:FEW]]
    cosines = outputs @ references.transpose(0, 2, 1)
    values = [permutation_test(one, 0).p for one in cosines]
    assert np.mean(np.array(values) <= 0.001) > 0.5
