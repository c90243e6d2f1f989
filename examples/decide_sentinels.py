"""Decide in Python whether a system used your images.

Plant keys, read them back, and test a system's answers. Two systems are simulated. One returns a
noisy copy of the sentinel whose key it is asked for, as a generator that retrieves from your images
does. The other letters the key on other portraits. Answers are compared with the portraits that the
keys were planted in, because the sentinels show the keys as well. Run it in the repository:

    python -m examples.decide_sentinels
"""

import numpy as np

from images.io import to_rgb
from images.transforms import RGBImage
from sentinels import Decider, KeyReader
from sentinels.plate import set_key
from tiny.dataset import PortraitDataset

EMBEDDER = "checkpoints/tiny/embedder"
KEYS = ("BCDFGH", "KLMNPR", "STXZBC", "DFGHKL", "MNPRST", "XZBCDF", "GHKLMN", "PRSTXZ")


def draw(first: int) -> list[RGBImage]:
    """Draw a portrait for each key."""
    items = PortraitDataset(first, len(KEYS), 1, size=128).__getitems__(list(range(len(KEYS))))
    return [to_rgb(item["image"]) for item in items]


def main() -> None:
    """Plant keys, read them, and decide."""
    rng = np.random.default_rng(0)
    sources = dict(zip(KEYS, draw(1_000_000), strict=True))
    sentinels = {key: set_key(image, key, rng).rgb for key, image in sources.items()}

    readings = KeyReader.from_pretrained(EMBEDDER).read(list(sentinels.values()))
    correct = sum(reading.has(key) for reading, key in zip(readings, KEYS, strict=True))
    print(f"keys read back: {correct} of {len(KEYS)}")

    thief = {}
    for key, sentinel in sentinels.items():
        noise = rng.normal(0, 8, sentinel.shape)
        thief[key] = np.clip(sentinel + noise, 0, 255).astype(np.uint8)
    honest = {
        key: set_key(image, key, rng).rgb for key, image in zip(KEYS, draw(1_200_000), strict=True)
    }

    decider = Decider.from_pretrained(EMBEDDER)
    for name, answers in (("thief", thief), ("honest", honest)):
        decision = decider.decide(answers, sources=sources)
        verdict = "used" if decision.used else "no evidence of use"
        if decision.used is None:
            verdict = f"undecided, at least {decision.keys_needed} keys are needed"
        print(f"{name}: {verdict}, p = {decision.p:.2g}, {decision.keys} keys")


if __name__ == "__main__":
    main()
