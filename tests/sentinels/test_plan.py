"""The number of keys that a decision needs."""

import json

import numpy as np
import pytest

from engine.cli import run
from sentinels.__main__ import main
from sentinels.permutation import effect_size, permutation_test, sequential_test
from sentinels.plan import plan
from sentinels.plan_config import PlanConfig


def test_perfect_use_needs_the_fewest_keys_that_can_reach_the_level():
    config = PlanConfig(hit_rates=(1.0,), levels=(0.05, 0.001), effect_size=100.0, studies=20)
    first, second = plan(config)
    assert (first.keys, second.keys) == (4, 7)
    assert second.one_by_one == 19


def test_the_planned_keys_have_the_planned_power():
    config = PlanConfig(hit_rates=(0.6,), levels=(0.01,), effect_size=2.5)
    (needed,) = plan(config)
    assert needed.keys > 5
    rng = np.random.default_rng(5)

    def power(keys, test):
        found = []
        for _ in range(150):
            own = np.diag(2.5 * (rng.random(keys) < 0.6))
            found.append(test(0.05 * (rng.normal(size=(keys, keys)) + own)))
        return np.mean(found)

    def permuted(cosines):
        return permutation_test(cosines, 0, draws=999).p <= 0.01

    assert 0.8 < power(needed.keys, permuted) < 0.99
    assert power(needed.keys // 2, permuted) < 0.8
    one_by_one = power(needed.one_by_one, lambda one: sequential_test(one, 0.01).stop is not None)
    assert 0.8 < one_by_one < 0.99


def test_the_command_prints_a_table_and_json(capsys):
    options = ["plan", "--hit-rates", "[1.0, 0.05]", "--levels", "[0.05]", "--studies", "10"]
    assert run(main, options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["hit", "rate", "p", "0.05"]
    assert lines[2].split()[:2] == ["100%", "4"]
    assert run(main, [*options, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["needed"][0] == {
        "hit_rate": 1.0,
        "level": 0.05,
        "keys": 4,
        "one_by_one": content["needed"][0]["one_by_one"],
    }
    assert content["settings"]["studies"] == 10


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--hit-rates", "[0]", "hit rates must be above 0"),
        ("--levels", "[0.000001]", "levels must be at least 0.00001"),
        ("--power", "1", "power must lie between 0 and 1"),
        ("--studies", "100000", "studies be 1 to 10000"),
    ],
)
def test_impossible_plans_are_refused(option, value, message, capsys):
    assert run(main, ["plan", option, value]) == 2
    assert message in capsys.readouterr().err


def test_the_effect_size_ignores_what_no_pairing_changes():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 40))
    effects = 5 * rng.normal(size=(40, 1)) + 5 * rng.normal(size=(1, 40))
    plain, shifted = (effect_size(values + 3 * np.eye(40)) for values in (noise, noise + effects))
    assert plain == pytest.approx(shifted)
    assert plain == pytest.approx(3, abs=0.5)
    assert effect_size(np.eye(4)) is effect_size(np.ones((2, 2))) is None
