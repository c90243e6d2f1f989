"""Plan of ``python -m datamodules shard``: source, labels and origin of every image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from datamodules.fake2m.annotations import Annotations
from datamodules.fake2m.catalogue import LABELS, Group, groups
from datamodules.fake2m.labels import (
    SAY_IT,
    LabelMap,
    folder_generator,
    folder_label,
    path_split,
)
from datamodules.fake2m.origin import GENERATED, REAL, Origin, hash_fraction, slug, with_label
from datamodules.fake2m.published import PublishedSet, published_sets
from images.archives import Member
from images.sources import read_text
from images.tables import Columns

Rule = Callable[[Member], Origin | str]
"""Function from a file to its origin, or to the reason for leaving it out."""


@dataclass(frozen=True)
class Plan:
    """Plan of a run of ``shard``.

    Attributes:
        name: Name of the run: split and subset, if the whole source has one.
        source: Source of the images.
        origin_of: Origin of a file, or the reason for leaving it out.
        labels: Meaning of the labels; it collects those that were met.
        annotations: Labels of single images.
        columns: Columns of tables.
        recorded: Settings of the manifest that depend on the set.
        terms: License and origin of a published set, for people.
    """

    name: str
    source: str
    origin_of: Rule
    labels: LabelMap
    annotations: Annotations | None = None
    columns: Columns = field(default_factory=Columns)
    recorded: dict[str, Any] = field(default_factory=dict)
    terms: str = ""


def make_plan(settings: Any) -> Plan:
    """Make the plan of the verb's settings.

    Raises:
        FileNotFoundError: If the label file is missing.
        ValueError: If there is no such set, or source or label are missing.
    """
    known = published_sets()
    if settings.set in known:
        return _published_plan(settings, known[settings.set])
    if settings.set is not None and settings.set not in groups():
        msg = f"no set '{settings.set}'; choose one of {', '.join([*groups(), *known])}"
        raise ValueError(msg)
    group = None if settings.set is None else groups()[settings.set]
    if group is None and (settings.label is None or settings.source is None):
        msg = (
            "give --set with the name of a published set, "
            "or a source and --label real, generated, folders or column"
        )
        raise ValueError(msg)
    source = settings.source
    metadata = settings.metadata
    if group is not None and source is None:
        source = group.images
        metadata = metadata or group.metadata
    labels = LabelMap(settings.label_map or (LABELS if group else None))
    annotations = None
    if metadata:
        annotations = Annotations(read_text(metadata), labels, metadata)
    plain = _plain_origin(settings, source)
    rule = _group_rule(group) if group else _given_rule(settings, plain, labels)
    return Plan(
        plain.stem,
        source,
        _held_out(rule, settings),
        labels,
        annotations,
        _columns(settings.columns),
        _recorded(settings, source, metadata, plain),
    )


def _published_plan(settings: Any, entry: PublishedSet) -> Plan:
    """Make the plan of a published set; options override its entry.

    Raises:
        ValueError: If its source is missing.
    """
    license_ = entry.license or "no license stated"
    source = settings.source or entry.source
    if source is None:
        msg = f"--set {entry.name}: give its folder or archive; it is at {entry.home} ({license_})"
        raise ValueError(msg)
    labels = LabelMap(settings.label_map or entry.label_map)
    plain = _plain_origin(settings, entry.name)
    wrapper = entry.name.lower()

    def generator_of(member: Member) -> str | None:
        # archives may wrap everything in a folder of the set's name
        name = member.name
        if name.lower().startswith(f"{wrapper}/"):
            name = name[len(wrapper) + 1 :]
        return folder_generator(name, labels) if entry.generator_folders else None

    split = settings.split or entry.split
    rule = _rule(settings.label or entry.label, plain, split, labels, generator_of)
    dated = _dated(rule, entry.release_dates)
    return Plan(
        plain.stem,
        source,
        _held_out(dated, settings),
        labels,
        columns=_columns((entry.columns or {}) | (settings.columns or {})),
        recorded=_recorded(settings, source, None, plain),
        terms=f"{entry.name} ({entry.paper}), {entry.home}: {license_}",
    )


def _columns(names: dict[str, str] | None) -> Columns:
    """Return the columns of tables by their roles.

    Raises:
        ValueError: If there is no such role.
    """
    roles = [role.name for role in fields(Columns)]
    if wrong := sorted(set(names or {}) - set(roles)):
        msg = f"--columns names {', '.join(roles)}; '{wrong[0]}' is none of them"
        raise ValueError(msg)
    return Columns(**(names or {}))


def _recorded(settings: Any, source: str, metadata: str | None, plain: Origin) -> dict[str, Any]:
    """Return the settings of the manifest that are not the options' own values."""
    return {
        "source": source,
        "metadata": metadata,
        "split": plain.split,
        "limits": asdict(settings.limits),
    }


def _plain_origin(settings: Any, source: str) -> Origin:
    """Build the origin of images without an archive's ``--set``, named after their source."""
    real = settings.label == "real"
    name = settings.name or Path(source.rstrip("/")).name or Path(source).resolve().name
    return Origin(
        split=settings.split or "train",
        subset=slug(name),
        label=REAL if real else GENERATED,
        generator=settings.generator,
        family="real" if real else settings.family,
        captions=settings.captions,
        column=settings.column,
    )


def _group_rule(group: Group) -> Rule:
    """Return the rule of an archive of Fake2M or MPBench."""

    def origin_of(member: Member) -> Origin | str:
        subset = group.subset_of(member.name)
        return "in no known folder" if subset is None else Origin.of(group, subset)

    return origin_of


def _given_rule(settings: Any, plain: Origin, labels: LabelMap) -> Rule:
    """Return the rule of a source that is described by options."""
    if settings.label in ("real", "generated"):
        return lambda _: plain
    by_folder = settings.label == "folders"

    def generator_of(member: Member) -> str | None:
        return folder_generator(member.name, labels) if by_folder else None

    return _rule(settings.label, plain, settings.split, labels, generator_of)


def _rule(
    label: str,
    plain: Origin,
    split: str | None,
    labels: LabelMap,
    generator_of: Callable[[Member], str | None],
) -> Rule:
    """Return the rule of a source whose images have one label, or their own.

    Args:
        label: real, generated, folders or column.
        plain: Origin with what is the same for all images; its generator is kept if it has one.
        split: Split of all images; that of their folders if None.
        labels: Meaning of labels.
        generator_of: Returns the generator of a file that has none in its table.
    """

    def label_of(member: Member) -> int | str:
        if label == "folders":
            return folder_label(member.name, labels)
        if label == "column":
            return _row_label(member, labels)
        return GENERATED if label == "generated" else REAL

    def origin_of(member: Member) -> Origin | str:
        found = label_of(member)
        if isinstance(found, str):
            return found
        named = plain.generator or member.columns.get("generator") or generator_of(member)
        place = split or path_split(member.name) or plain.split
        date = member.columns.get("released")
        origin = replace(plain, label=GENERATED, generator=named, split=place, released=date)
        return with_label(origin, found)

    return origin_of


def _dated(rule: Rule, dates: Mapping[str, str]) -> Rule:
    """Return a rule that adds the release dates of generators, by name."""

    def origin_of(member: Member) -> Origin | str:
        origin = rule(member)
        if isinstance(origin, str) or origin.released is not None:
            return origin
        return replace(origin, released=dates.get(origin.generator or ""))

    return origin_of


def _row_label(member: Member, labels: LabelMap) -> int | str:
    """Return the label of a table's row, or the reason why there is none.

    Raises:
        ValueError: If it is a number whose meaning is not stated.
    """
    value = member.columns.get("label")
    if value is None:
        return "without a label in its row"
    label = labels.meaning(value)
    if label is None and labels.lacks(value):
        msg = f"{member.name}: its label is {value}, {SAY_IT}"
        raise ValueError(msg)
    return "with an unknown label in its row" if label is None else label


def _held_out(rule: Rule, settings: Any) -> Rule:
    """Return a rule that holds out shares of a training set.

    They are for calibration and monitoring, and are chosen by a hash of the file name.
    """
    calibration_end = settings.calibration_share
    dev_end = settings.calibration_share + settings.dev_share

    def origin_of(member: Member) -> Origin | str:
        origin = rule(member)
        if isinstance(origin, str) or origin.split != "train":
            return origin
        fraction = hash_fraction(member.name)
        if fraction < calibration_end:
            return replace(origin, split="calibration")
        return replace(origin, split="dev") if fraction < dev_end else origin

    return origin_of
