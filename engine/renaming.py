"""Former names of settings, still accepted in command lines, configs and manifests.

A table of renamed settings maps former names to present ones. Names have underscores, and dots
between a group and its settings. An entry changes the last part of a name, and entries apply in
order: ``{"ascent": "pgd", "pgd.rounds": "pgd.outer_steps"}`` reads ``ascent.rounds`` as
``pgd.outer_steps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Renamed = Mapping[str, str]

JOB_RENAMED: Renamed = {"num_workers": "workers"}
"""Renamed settings of all jobs."""


Moved = Mapping[str, str]
"""Present places of settings that cannot be read under their former names, by name or group."""


def refuse_moved(name: str, moved: Moved) -> None:
    """Refuse a setting that stands elsewhere now.

    Raises:
        ValueError: If the setting or its group is one; the message says its present place.
    """
    for former in (name, name.partition(".")[0]):
        if former in moved:
            msg = f"{former} is no setting of its own any more: give {moved[former]}"
            raise ValueError(msg)


def within(group: str, renamed: Renamed) -> dict[str, str]:
    """Return a table of renamed settings for settings in a group."""
    return {f"{group}.{former}": f"{group}.{present}" for former, present in renamed.items()}


def present_name(name: str, renamed: Renamed) -> str:
    """Return the present name of a setting."""
    for former, present in renamed.items():
        if name == former or name.startswith(f"{former}."):
            name = present + name.removeprefix(former)
    return name


def present_settings(settings: Mapping[str, Any], renamed: Renamed) -> dict[str, Any]:
    """Replace former names in nested settings.

    Args:
        settings: Values by name; groups are mappings.
        renamed: Present names by former ones.

    Returns:
        A copy with present names.

    Raises:
        ValueError: If a setting has both its former and its present name.
    """
    current = _copy(settings)
    for former, present in renamed.items():
        *path, name = former.split(".")
        group = _group(current, path)
        if name in group:
            value = group.pop(name)
            if not _put(group, present.rpartition(".")[2], value):
                msg = f"{former} is the former name of {present}; give one of them"
                raise ValueError(msg)
    return current


def _copy(value: Any) -> Any:
    """Copy nested mappings."""
    if isinstance(value, Mapping):
        return {name: _copy(inner) for name, inner in value.items()}
    return value


def _group(settings: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return the group at the end of a path; empty if there is none."""
    group: Any = settings
    for name in path:
        group = group.get(name)
        if not isinstance(group, dict):
            return {}
    return group


def _put(group: dict[str, Any], name: str, value: Any) -> bool:
    """Set a value, or join two groups; return False if a value is there already."""
    earlier = group.get(name)
    if isinstance(earlier, dict) and isinstance(value, dict):
        if set(earlier) & set(value):
            return False
        group[name] = earlier | value
        return True
    if name in group:
        return False
    group[name] = value
    return True
