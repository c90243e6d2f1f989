"""``python -m eval compare``: find the kind of two runs, compare them, and write a page."""

from __future__ import annotations

from pathlib import Path

from engine.pages.shell import write_page
from eval.compare.compared import HEAD, Compared
from eval.compare.detectors import compare_detectors, scores_file
from eval.compare.protection import compare_protection
from eval.compare.rag import arms_of as rag_arms
from eval.compare.rag import compare_rag
from eval.compare.retrieval import arms_of as retrieval_arms
from eval.compare.retrieval import compare_retrieval
from eval.studies.rows import has_results

KINDS = {
    "protection": (has_results, compare_protection),
    "detectors": (scores_file, compare_detectors),
    "retrieval": (retrieval_arms, compare_retrieval),
    "rag": (rag_arms, compare_rag),
}
"""A test for each kind of run, and its comparison."""


def compare_runs(a: Path, b: Path) -> Compared:
    """Compare two runs of one kind.

    Args:
        a: Results of run A: of ``eval personalize``, ``matrix``, ``redteam``, ``retrieval`` or
            ``rag``, of ``detectors test``, or a file of scores.
        b: The same of run B.

    Raises:
        FileNotFoundError: If a run does not exist, or holds no results.
        ValueError: If the runs are of two kinds, or cannot be compared.
    """
    kinds = [kind_of(a), kind_of(b)]
    if kinds[0] != kinds[1]:
        msg = f"{a} holds results of the kind {kinds[0]}, {b} of {kinds[1]}: compare two of a kind"
        raise ValueError(msg)
    return KINDS[kinds[0]][1](a, b)


def kind_of(run: Path) -> str:
    """Kind of a run's results.

    Raises:
        FileNotFoundError: If it has none.
    """
    for kind, (is_of_kind, _) in KINDS.items():
        if run.exists() and is_of_kind(run):
            return kind
    msg = (
        f"{run}: no results here; name a folder of eval personalize, matrix, redteam, retrieval or "
        "rag, or of detectors test, or a .parquet or .csv file of scores"
    )
    raise FileNotFoundError(msg)


def write_comparison(compared: Compared, a: Path, b: Path, page: Path) -> None:
    """Write the comparison as one self-contained page.

    Args:
        compared: The comparison.
        a: Run A.
        b: Run B.
        page: The file.
    """
    write_page(
        page,
        "eval/compare.html",
        compared=compared,
        head=HEAD,
        chart=compared.chart,
        a=str(a),
        b=str(b),
    )
