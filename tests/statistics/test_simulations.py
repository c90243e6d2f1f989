"""Coverage of intervals and error rates of tests, on simulated studies.

The studies have the shapes of the project's data.
"""

import numpy as np
import pytest

from benchmarks.selected_simulations import lowest_auc
from benchmarks.statistics import share_true, simulations

CASES = [
    pytest.param(seed, simulation, id=simulation.name)
    for seed, simulation in enumerate(simulations())
]


@pytest.mark.parametrize(("seed", "simulation"), CASES)
def test_figures_keep_what_they_promise(seed, simulation):
    """Within three standard errors of the simulation itself."""
    reached = share_true(simulation, simulation.replicates, seed)
    if simulation.promise == "covers":
        least = simulation.least
        assert reached >= least - 3 * np.sqrt(least * (1 - least) / simulation.replicates)
    elif simulation.promise == "errs":
        level = simulation.level
        assert reached <= level + 3 * np.sqrt(level * (1 - level) / simulation.replicates)
    else:
        assert reached > 0.7, "an alternative that is meant to be found"


def test_every_promise_is_simulated():
    promises = {simulation.promise for simulation in simulations()}
    assert promises == {"covers", "errs", "finds"}
    assert sum(bool(simulation.limit) for simulation in simulations()) < 10


def test_selecting_the_worst_again_takes_most_of_its_bias_away():
    """Ten equal generators, of which the lowest as measured lies below the truth."""
    rng = np.random.default_rng(0)
    aucs = np.full(10, 0.9)
    lowest = np.array([lowest_auc(rng, aucs, 200, 50)[:2] for _ in range(40)])
    measured, corrected = lowest.mean(axis=0) - 0.9
    error = lowest[:, 1].std() / np.sqrt(40)
    assert measured < corrected - 3 * error
    assert abs(corrected) + 3 * error < abs(measured)
