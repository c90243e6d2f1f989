"""``python -m sentinels plan``: options and messages."""

from __future__ import annotations

from typing import Any

from engine.cli import Output, Parser, Verb, dataclass_from


def add_options(parser: Parser) -> None:
    """Add the options of ``plan``."""
    parser.add_call("sentinels.plan_config:PlanConfig")


def plan(settings: Any, output: Output) -> int:
    """Simulate how many keys a decision needs; return 0."""
    from sentinels.plan import as_values, in_words
    from sentinels.plan import plan as simulate
    from sentinels.plan_config import PlanConfig

    config = dataclass_from(settings, PlanConfig)
    needed = simulate(config)
    output.result(in_words(needed, config), **as_values(needed, config))
    return 0


VERB = Verb(
    "Simulate how many keys a decision needs for a p-value at a hit rate, before publishing.",
    "sentinels plan --hit-rates '[0.9, 0.5]' --levels '[0.001]'",
    add_options,
    plan,
)
