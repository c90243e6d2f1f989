"""Budgets of a study's arms: stated ones, and measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def stated_budget(manifest: Mapping[str, Any]) -> str:
    """Words on the budgets that arms state, such as ``at most 6``; empty if none does.

    Args:
        manifest: Manifest of a study; those of version 0.2.0 have one budget for all arms.
    """
    budgets = manifest.get("budgets")
    if not isinstance(budgets, dict):
        budgets = {"all": manifest.get("budget_levels")}
    stated = sorted({budget for budget in budgets.values() if budget})
    if not stated:
        return ""
    return "at most " + " or ".join(f"{budget:g}" for budget in stated)


def measured_budgets(manifest: Mapping[str, Any], levels: Mapping[str, float]) -> list[str]:
    """Sentences on arms that state no budget, with the bound that was measured.

    Args:
        manifest: Manifest of a study.
        levels: Largest change by arm, in gray levels, over all people.
    """
    budgets = manifest.get("budgets")
    unstated = [] if not isinstance(budgets, dict) else [a for a in budgets if budgets[a] is None]
    return [
        f"{arm}: states no budget; measured against the clean images, it changes a value by up to "
        f"{levels[arm]:g} gray levels"
        for arm in unstated
        if arm in levels
    ]
