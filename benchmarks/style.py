"""Style of Python trees in figures: ours beside other checkouts.

    python -m benchmarks.style                          # this tree
    python -m benchmarks.style TORCHGEO/ ANOMALIB/src/  # the same of others, beside it

Tests and examples are left out. Shares and rates are of what each row names.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "engine",
    "images",
    "checkpoints",
    "models",
    "datamodules",
    "rid",
    "detectors",
    "indexing",
    "sentinels",
    "eval",
    "tiny",
)
LEFT_OUT = {"tests", "docs", "examples", "experiments", "benchmarks", "build"}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
QUESTIONS = re.compile(r"(What|Who|Whether|How|The same)\b")


def python_files(tree: Path) -> list[Path]:
    """List the Python files of a tree; of this project, those of its packages."""
    roots = [tree / room for room in ROOMS] if tree.resolve() == ROOT else [tree]
    files = [file for root in roots for file in sorted(root.rglob("*.py"))]
    return [file for file in files if not LEFT_OUT & set(file.relative_to(tree).parts)]


def measure(tree: Path) -> dict[str, str]:
    """Measure the style of a tree.

    Args:
        tree: Folder with Python files.

    Returns:
        Figures by the name of what they measure.

    Raises:
        FileNotFoundError: If there are no Python files.
    """
    files = python_files(tree)
    if not files:
        msg = f"{tree}: no Python files here"
        raise FileNotFoundError(msg)
    count: Counter[str] = Counter()
    lengths: dict[str, list[int]] = {"file": [], "function": [], "headline": []}
    for file in files:
        text = file.read_text()
        lines = text.splitlines()
        lengths["file"].append(len(lines))
        count["lines"] += len(lines)
        count["long"] += sum(len(line) > 100 for line in lines)
        count["comments"] += _whole_line_comments(text)
        _visit(ast.parse(text), count, lengths)
    per_thousand = 1000 / count["lines"]
    return {
        "files": str(len(files)),
        "lines": str(count["lines"]),
        "file: median / p90 / max lines": _spread(lengths["file"], 90),
        "function: median / p95 / max lines": _spread(lengths["function"], 95),
        "lines over 100 characters": f"{count['long'] / count['lines']:.1%}",
        "comprehensions per 1,000 lines": f"{count['comprehensions'] * per_thousand:.1f}",
        "nested comprehensions per 1,000 lines": f"{count['nested'] * per_thousand:.1f}",
        "tuple assignments per 1,000 lines": f"{count['tuples'] * per_thousand:.1f}",
        "whole-line comments per 1,000 lines": f"{count['comments'] * per_thousand:.1f}",
        "words in a docstring's first line, mean": f"{np.mean(lengths['headline'] or [0]):.1f}",
        "first lines that open with What, Who, Whether, How": f"{count['questions']} of {len(lengths['headline'])}",
        "functions with a docstring": _share(count["documented"], count["functions"]),
        "typed functions": _share(count["typed"], count["functions"]),
        "public functions of 3 parameters or more with Args": _share(
            count["args"], count["public"]
        ),
        "print calls / loggers": f"{count['prints']} / {count['loggers']}",
    }


def _visit(module: ast.Module, count: Counter[str], lengths: dict[str, list[int]]) -> None:
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and (
            text := ast.get_docstring(node)
        ):
            headline = text.splitlines()[0]
            lengths["headline"].append(len(headline.split()))
            count["questions"] += bool(QUESTIONS.match(headline))
        if isinstance(node, FUNCTIONS):
            _visit_function(node, count)
            lengths["function"].append((node.end_lineno or node.lineno) - node.lineno + 1)
        elif isinstance(node, COMPREHENSIONS):
            inner = sum(isinstance(child, COMPREHENSIONS) for child in ast.walk(node)) - 1
            count["comprehensions"] += 1
            count["nested"] += bool(inner)
        elif isinstance(node, ast.Assign):
            pairs = any(isinstance(target, ast.Tuple) for target in node.targets)
            count["tuples"] += pairs and isinstance(node.value, ast.Tuple)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            count["prints"] += name == "print"
            count["loggers"] += name.endswith("getLogger")


def _visit_function(node: ast.FunctionDef | ast.AsyncFunctionDef, count: Counter[str]) -> None:
    text = ast.get_docstring(node) or ""
    given = node.args
    parameters = [
        one
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)
        if one.arg not in ("self", "cls")
    ]
    count["functions"] += 1
    count["documented"] += bool(text)
    returns = node.returns is not None or node.name == "__init__"
    count["typed"] += returns and all(one.annotation is not None for one in parameters)
    if not node.name.startswith("_") and len(parameters) >= 3:
        count["public"] += 1
        count["args"] += bool(re.search(r"^\s*(Args|Parameters):", text, re.MULTILINE))


def _whole_line_comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(
        token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
        for token in tokens
    )


def _spread(values: list[int], percentile: int) -> str:
    middle, high = np.percentile(values or [0], [50, percentile])
    return f"{middle:.0f} / {high:.0f} / {max(values, default=0)}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.0%})"


def main(trees: list[Path]) -> None:
    """Print a table with a column for each tree, this project's first."""
    measured = [measure(tree) for tree in (ROOT, *trees)]
    names = ["this project", *(tree.resolve().name for tree in trees)]
    print(f"| measured | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    for row in measured[0]:
        print(f"| {row} | {' | '.join(figures[row] for figures in measured)} |")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
