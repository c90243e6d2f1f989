"""Planting as the tests do it."""

from sentinels.plant import plant
from sentinels.planters import LocalPlanter


def planted(collection, output, config, letters=None, planter=None):
    return plant(collection, output, planter or LocalPlanter(), config, letters)
