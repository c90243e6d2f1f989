"""Rows of protection results: one for each person, arm and cell of a finished run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from engine.journal import read_journal
from engine.manifest import read_manifest
from eval.reports.protection_table import attacked_model
from eval.studies.results import check_finished, read_results

Row = dict[str, Any]

Cell = tuple[str, str]
"""Names of an attack and a purification."""

RESULTS = "results.parquet"


class RowSchema(TypedDict):
    """Columns that every version of ``results.parquet`` has, and those that are read if there.

    All other columns are metrics.
    """

    attack: str
    purification: str
    arm: str
    person: str
    ism_all: float | None
    fdfr: float | None
    real_ism: float | None
    model: NotRequired[str | None]
    person_sha256: NotRequired[str | None]
    minutes: NotRequired[float | None]


def read_rows(file: Path) -> list[Row]:
    """Read ``results.parquet``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, empty or has other columns.
    """
    if not file.is_file():
        msg = (
            f"{file}: no such file; "
            "run 'python -m eval matrix' or 'eval redteam' with this output folder first"
        )
        raise FileNotFoundError(msg)
    try:
        rows: list[Row] = pq.read_table(file).to_pylist()
        msgspec.convert(rows, list[RowSchema])
    except (OSError, ValueError, pa.ArrowException, msgspec.MsgspecError) as error:
        msg = f"{file}: damaged, or not results of persons ({error}); run that study again"
        raise ValueError(msg) from error
    if not rows:
        msg = f"{file}: has no rows; run that study again"
        raise ValueError(msg)
    return rows


@dataclass(frozen=True)
class ProtectionResults:
    """Results of one protection study, matrix or red team.

    Attributes:
        name: Name of the folder.
        folder: The folder.
        rows: One row for each person, arm and cell.
        settings: Settings of each cell but its arms, as far as recorded.
    """

    name: str
    folder: Path
    rows: list[Row]
    settings: Mapping[Cell, Mapping[str, Any]]

    @property
    def people(self) -> dict[str, str]:
        """Hash of each person's images by name; empty where it was not recorded."""
        return {str(row["person"]): row.get("person_sha256") or "" for row in self.rows}

    @property
    def cells(self) -> list[Cell]:
        """Attacks and purifications, in order."""
        return list(dict.fromkeys((row["attack"], row["purification"]) for row in self.rows))

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in order."""
        return list(dict.fromkeys(row["arm"] for row in self.rows))

    def of_cell(self, cell: Cell) -> list[Row]:
        """Rows of one cell."""
        return [row for row in self.rows if (row["attack"], row["purification"]) == cell]


def open_results(folder: Path) -> ProtectionResults:
    """Open the results of ``eval personalize``, ``matrix`` or ``redteam``.

    Raises:
        FileNotFoundError: If the folder has none.
        ValueError: If they are damaged, or the study was stopped before its end.
    """
    name = folder.resolve().name
    if (folder / RESULTS).is_file():
        rows = read_rows(folder / RESULTS)
        settings = {}
        for attack, purification in {(row["attack"], row["purification"]) for row in rows}:
            cell = folder / "cells" / attack / purification
            settings[attack, purification] = _protocol(read_manifest(cell) or {})
        return ProtectionResults(name, folder, rows, settings)
    manifest = read_manifest(folder) or {}
    protocol = _protocol(manifest)
    attack = str((protocol.get("attack") or {}).get("class", "attack"))
    purification = str((protocol.get("purification") or {}).get("class", "none"))
    purification = purification.rpartition(".")[2]
    hashes = {entry.name: entry.sha256 for entry in read_journal(folder).values()}
    results = read_results(folder)
    check_finished(folder)
    rows = []
    for result in results:
        for arm, measured in result["measured"].items():
            rows.append(
                {
                    "attack": attack,
                    "model": attacked_model(manifest),
                    "purification": purification,
                    "arm": arm,
                    "person": result["name"],
                    "person_sha256": hashes.get(result["name"], ""),
                    "real_ism": None if math.isnan(result["real_ism"]) else result["real_ism"],
                    "references": result.get("references"),
                    "minutes": result.get("minutes", {}).get(arm),
                }
                | {key: None if math.isnan(value) else value for key, value in measured.items()}
            )
    msgspec.convert(rows, list[RowSchema])
    return ProtectionResults(name, folder, rows, {(attack, purification): protocol})


def _protocol(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a study but its arms."""
    settings = manifest.get("settings")
    if not isinstance(settings, dict):
        return {}
    return {key: value for key, value in settings.items() if key != "arms"}


def has_results(folder: Path) -> bool:
    """Return True if a folder holds results of persons."""
    return (folder / RESULTS).is_file() or any(folder.glob("people/*/result.json"))


def known_mean(values: Sequence[float | None]) -> float:
    """Mean of the finite values; NaN if there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else float("nan")
