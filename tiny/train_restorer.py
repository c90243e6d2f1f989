"""Recipe of the restoration network."""

from __future__ import annotations

from lightning import seed_everything

from datamodules.datamodule import ImageDataModule
from tiny.dataset import PortraitDataset
from tiny.fitting import Place, fit, record
from tiny.restorer import DegradedPortraits, RestorerTask, build_restorer, save_restorer
from tiny.train_sources import VALIDATION_FIRST

BATCH_SIZE = 8
"""Images of a step."""


def train_restorer(
    place: Place, name: str, steps: int | None = None, people: int = 12_000, held_out: int = 64
) -> None:
    """Train the network with which an attacker restores protected portraits.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of portraits to train on, one of each identity.
        held_out: Number of portraits to validate on.
    """
    seed_everything(14, verbose=False)
    total = steps or 3000
    network = build_restorer(width=48, depth=4, blocks=2)
    train = DegradedPortraits(PortraitDataset(0, people, 1))
    validation = DegradedPortraits(PortraitDataset(VALIDATION_FIRST, held_out, 1))
    task = RestorerTask(network, total, lr=1e-3)
    data = ImageDataModule(train, validation, batch_size=BATCH_SIZE)
    seconds = fit(task, data, total, place.work / name)
    save_restorer(network.eval(), place.shipped / name)
    note = f"{people} portraits, one of each identity, degraded at random"
    record(place.shipped / name, 14, total, BATCH_SIZE, seconds, note)
