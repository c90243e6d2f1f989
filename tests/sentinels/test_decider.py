"""Reading keys and deciding from Python."""

import numpy as np
import pytest

from images.io import to_rgb
from sentinels import Decider, Decision, KeyReader
from sentinels.permutation import permutation_test
from sentinels.plate import set_key
from tests.conftest import SHIPPED
from tiny.dataset import PortraitDataset

EMBEDDER = str(SHIPPED / "embedder")
KEYS = ["BCDFGH", "KLMNPR", "STXZBC", "DFGHKL", "MNPRST", "XZBCDF", "GHKLMN"]


def portraits(first):
    items = PortraitDataset(first, len(KEYS), 1, 128).__getitems__(list(range(len(KEYS))))
    return [to_rgb(item["image"]) for item in items]


@pytest.fixture(scope="module")
def sources():
    return dict(zip(KEYS, portraits(1_600_000), strict=True))


@pytest.fixture(scope="module")
def sentinels(sources):
    rng = np.random.default_rng(0)
    return {key: set_key(rgb, key, rng).rgb for key, rgb in sources.items()}


def test_keys_are_read(sentinels):
    readings = KeyReader.from_pretrained(EMBEDDER).read(list(sentinels.values()))
    assert sum(reading.has(key) for reading, key in zip(readings, KEYS, strict=True)) >= 6
    assert readings[0].name == "image 1"


def test_use_is_told_from_none(sentinels, sources):
    decider = Decider.from_pretrained(EMBEDDER)
    edited = {key: [np.ascontiguousarray(rgb[4:-4, 4:-4]), rgb] for key, rgb in sentinels.items()}
    used = decider.decide(edited, sources=sources)
    assert used.used
    assert (used.p, used.keys) == (pytest.approx(1 / 5040), 7)
    assert used.matched > used.mismatched
    others = dict(zip(KEYS, portraits(1_700_000), strict=True))
    assert not decider.decide(others, sources=sources).used


def test_outputs_without_a_source_and_too_few_are_refused(sentinels, sources):
    decider = Decider.from_pretrained(EMBEDDER)
    with pytest.raises(ValueError, match="no source named WWW"):
        decider.decide({"WWW": sentinels[KEYS[0]]}, sources=sources)
    with pytest.raises(ValueError, match="at least two keys"):
        decider.decide({KEYS[0]: sentinels[KEYS[0]]}, sources=sources)
    with pytest.raises(ValueError, match="at least two keys"):
        decider.decide({}, sources=sources)
    with pytest.raises(ValueError, match="has no image"):
        decider.decide({KEYS[0]: []}, sources=sources)


def test_a_decision_is_the_permutation_tests():
    decision = Decision.of(np.eye(8), level=0.01)
    assert (decision.p, decision.used, decision.level) == (
        permutation_test(np.eye(8), 0).p,
        True,
        0.01,
    )
    assert Decision.of(np.ones((8, 8))).used is False
    few = Decision.of(np.eye(6))
    assert (few.used, few.keys_needed) == (None, 7), "six keys cannot reach 0.001"
