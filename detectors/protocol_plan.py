"""Plans of protocols: which generators a detector is trained on, and which it is tested on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from datamodules.fake2m.facts import read_facts
from datamodules.shards import local_shards
from engine.files import file_digest

DATE = r"\d{4}-(0[1-9]|1[0-2])(-([0-2]\d|3[01]))?"
"""Pattern of a release date, ``YYYY-MM`` or ``YYYY-MM-DD``."""

Shards = dict[str, list[str]]
"""Paths of shards by generator."""


@dataclass(frozen=True)
class Group:
    """Generators that enter training together.

    Attributes:
        name: Dates of a window, name of a generator, or name of a family.
        generators: Their names, in the order of the records or of the dates.
    """

    name: str
    generators: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """One training, and how the groups of the test relate to it.

    Attributes:
        name: Name in tables.
        trained: Names of the generators to train on; empty for given weights.
        relations: ``seen``, ``unseen``, ``next`` or ``later`` by group; empty for given weights.
    """

    name: str
    trained: tuple[str, ...] = ()
    relations: dict[str, str] = field(default_factory=dict)


@dataclass
class Catalog:
    """Generators of shards.

    Attributes:
        real: Paths of the shards of real images.
        generated: Paths of the shards of generated images, by generator.
        families: Family of each generator.
        dates: Release date of each generator; empty if unknown.
    """

    real: list[str] = field(default_factory=list)
    generated: Shards = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, patterns: Sequence[str]) -> Catalog:
        """Read the generators of local shards from their records.

        Raises:
            FileNotFoundError: If shards are missing.
            ValueError: If a shard is empty, or of several generators or both classes.
        """
        catalog = cls()
        for shard in local_shards(patterns):
            facts = set()
            for _, record in read_facts(shard):
                generator = record.get("generator") or record.get("subset") or "unknown"
                date = record.get("released") or ""
                known = (generator, record.get("family") or "unknown", date)
                facts.add((record["label"], *(known if record["label"] else ("", "", ""))))
            if len(facts) != 1:
                held = ", ".join(sorted(fact[1] or "real" for fact in facts)) or "no samples"
                msg = (
                    f"{shard}: a protocol needs shards of one generator each, this has {held}; "
                    "shard each generator with a --name of its own"
                )
                raise ValueError(msg)
            label, generator, family, date = facts.pop()
            if label == 0:
                catalog.real.append(str(shard))
                continue
            catalog.generated.setdefault(generator, []).append(str(shard))
            catalog.families[generator] = family
            catalog.dates[generator] = date
        return catalog

    def digest(self) -> str:
        """Compute the SHA-256 of the shards' hashes."""
        shards = [*self.real, *chain.from_iterable(self.generated.values())]
        return hashlib.sha256(
            "".join(file_digest(Path(shard)) for shard in shards).encode()
        ).hexdigest()


def group_generators(
    kind: str, catalog: Catalog, families: Mapping[str, str], dates: Mapping[str, str], window: int
) -> list[Group]:
    """Group the generators of a test.

    Args:
        kind: str of the protocol.
        catalog: Generators of the test shards.
        families: Families that are given in place of the records'.
        dates: Release dates that are given in place of the records'.
        window: Generators in a window, at least 1.

    Returns:
        Windows in the order of their dates; single generators or families by name.

    Raises:
        ValueError: If a name, date or window is wrong, or a generator has no date.
    """
    names = sorted(catalog.generated)
    unknown = sorted((set(families) | set(dates)) - set(names))
    if unknown:
        msg = f"{unknown[0]}: no such generator in the test shards; there are {', '.join(names)}"
        raise ValueError(msg)
    if kind == "leave-one-out":
        return [Group(name, (name,)) for name in names]
    if kind == "families":
        of = {name: families.get(name, catalog.families[name]) for name in names}
        parts = {family: [name for name in names if of[name] == family] for family in of.values()}
        return [Group(family, tuple(parts[family])) for family in sorted(parts)]
    if window < 1:
        msg = f"--window is at least 1 generator, got {window}"
        raise ValueError(msg)
    released = {name: dates.get(name) or catalog.dates[name] for name in names}
    for name, date in released.items():
        if not re.fullmatch(DATE, date):
            said = f"its release date is '{date}'" if date else "its release date is not known"
            msg = f"{name}: {said}; state it as --dates '{{{name}: YYYY-MM-DD}}'"
            raise ValueError(msg)
    ordered = sorted(names, key=lambda name: (released[name], name))
    groups = []
    for start in range(0, len(ordered), window):
        part = ordered[start : start + window]
        span = " to ".join(dict.fromkeys((released[part[0]], released[part[-1]])))
        groups.append(Group(f"{span}: {', '.join(part)}", tuple(part)))
    return groups


def plan_splits(kind: str, groups: Sequence[Group], trainable: Sequence[str]) -> list[Split]:
    """Plan the trainings of a protocol.

    Windows are trained on together with all windows before them. A training that would add nothing
    is left out: its groups are tested by the others.

    Args:
        kind: str of the protocol.
        groups: Groups of the test.
        trainable: Generators with training shards.

    Raises:
        ValueError: If there is no training.
    """
    have = {group.name: _of(group, trainable) for group in groups}
    splits = []
    for number, group in enumerate(groups):
        others = [other for other in groups if other is not group]
        if kind == "windows":
            seen, name = list(groups[: number + 1]), f"until {group.name}"
            relations = {other.name: "later" for other in groups[number + 2 :]}
            relations |= {other.name: "next" for other in groups[number + 1 : number + 2]}
        elif kind == "families":
            seen, name = [group], group.name
            relations = {other.name: "unseen" for other in others}
        else:
            seen, name = others, f"without {group.name}"
            relations = {group.name: "unseen"}
        relations |= {other.name: "seen" for other in seen}
        trained = tuple(generator for one in seen for generator in have[one.name])
        if trained and (kind == "leave-one-out" or have[group.name]):
            splits.append(Split(name, trained, relations))
    if not splits:
        msg = f"{kind}: no generator of the test has training shards to train on; see --train"
        raise ValueError(msg)
    return splits


def _of(group: Group, trainable: Sequence[str]) -> tuple[str, ...]:
    """List the generators of a group that can be trained on."""
    return tuple(name for name in group.generators if name in trainable)
