"""Former names of the settings of pairs; see :mod:`engine.renaming`."""

from __future__ import annotations

from engine.renaming import within

PGD_RENAMED = {"step_levels": "step_size", "rounds": "outer_steps", "shared": "universal"}
"""Former names of :class:`rid.pairs.config.PGDConfig`'s settings."""

PAIRS_RENAMED = {
    "in_turn": "alternate_models",
    "span": "timestep_range",
    "draws": "num_noise_samples",
    "ascent": "pgd",
    **within("pgd", PGD_RENAMED),
    "surrogate.before": "surrogate.warmup_steps",
}
"""Former names of :class:`rid.pairs.config.PairConfig`'s settings."""
