"""Coverage of all intervals and error rates of all tests, by simulation.

``python -m benchmarks.statistics`` prints them as a Markdown table. It draws ten times as many
studies as ``tests/statistics``. docs/results/statistics.md has its output.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.promises import Simulation, simulations
from engine.pages.markdown import markdown_table

PROMISES = {"covers": "holds 0.95", "errs": "errs in {:g}", "finds": "finds"}
"""Column "promise" of the table, filled with the level of the test."""


def share_true(simulation: Simulation, replicates: int, seed: int) -> float:
    """Return the share of studies that hold the truth, or that reject.

    Args:
        simulation: The simulated study.
        replicates: Number of studies.
        seed: Seed of the studies.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([simulation.study(rng) for _ in range(replicates)]))


def rows(times: int, only: str = "") -> Iterator[list[str]]:
    """Yield the table's row of each simulated study.

    Args:
        times: Factor on the number of studies that the tests draw.
        only: Part of a figure's name; other figures are skipped.
    """
    for seed, simulation in enumerate(simulations()):
        if only not in simulation.name:
            continue
        replicates = times * simulation.replicates
        reached = share_true(simulation, replicates, seed)
        error = np.sqrt(reached * (1 - reached) / replicates)
        yield [
            simulation.name,
            PROMISES[simulation.promise].format(simulation.level),
            f"{reached:.3f} ±{error:.3f}",
            f"{replicates:,}",
            simulation.limit or "-",
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--times", type=int, default=10, help="factor on the number of studies of the tests"
    )
    parser.add_argument("--only", default="", help="part of a figure's name; skip other figures")
    options = parser.parse_args()
    head = ["figure and data", "promise", "reached, ± its standard error", "studies", "known limit"]
    print(markdown_table(head, []), flush=True)
    for row in rows(options.times, options.only):
        print(markdown_table(head, [row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
