"""Former names of the settings of pairs; see :mod:`engine.renaming`."""

from __future__ import annotations

from engine.renaming import within

PGD_RENAMED = {"step_levels": "step_size", "rounds": "outer_steps", "shared": "universal"}
"""Former names of :class:`rid.pairs.config.PGDConfig`'s settings."""

PAIRS_RENAMED = {
    "method": "objective",
    "in_turn": "alternate_models",
    "span": "timestep_range",
    "draws": "num_noise_samples",
    "ascent": "pgd",
    **within("pgd", PGD_RENAMED),
    "surrogate.before": "surrogate.warmup_steps",
}
"""Former names of :class:`rid.pairs.config.PairConfig`'s settings, and of its objectives'."""

PAIRS_MOVED = {
    name: f"--objective.{name}"
    for name in ("models", "prompt", "timestep_range", "num_noise_samples", "surrogate", "target")
} | {
    "span": "--objective.timestep_range",
    "draws": "--objective.num_noise_samples",
    "method": "--objective CLASS, a class of rid.pairs.objectives",
}
"""Present places of settings that stood outside of the objective."""
