"""Style report of Python trees: sizes, density and docstrings.

    python -m benchmarks.style                          # this tree
    python -m benchmarks.style TORCHGEO/ ANOMALIB/src/  # with other trees beside it

Tests and examples are left out.
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

from engine.cli.noise import ROOMS

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {"tests", "docs", "examples", "experiments", "benchmarks", "build"}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
QUESTIONS = re.compile(r"(What|Who|Whether|How|The same)\b")


def python_files(tree: Path) -> list[Path]:
    """List the Python files of a tree, or of this project's packages."""
    roots = [tree / room for room in ROOMS] if tree.resolve() == ROOT else [tree]
    files = [file for root in roots for file in sorted(root.rglob("*.py"))]
    return [file for file in files if not LEFT_OUT & set(file.relative_to(tree).parts)]


def measure(tree: Path) -> dict[str, str]:
    """Measure the style of a tree.

    Args:
        tree: Folder with Python files.

    Returns:
        Figures by name.

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
        "first lines that open with What, Who, Whether, How": (
            f"{count['questions']} of {len(lengths['headline'])}"
        ),
        "functions with a docstring": _share(count["documented"], count["functions"]),
        "typed functions": _share(count["typed"], count["functions"]),
        "public functions of 3 parameters or more with Args": _share(
            count["args"], count["public"]
        ),
        "print calls / loggers": f"{count['prints']} / {count['loggers']}",
    }


def _visit(module: ast.Module, count: Counter[str], lengths: dict[str, list[int]]) -> None:
    """Add a module's figures to counts and lengths."""
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            _visit_docstring(node, count, lengths)
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


def _visit_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    count: Counter[str],
    lengths: dict[str, list[int]],
) -> None:
    """Count the words and the question words of a headline."""
    text = ast.get_docstring(node)
    if text:
        headline = text.splitlines()[0]
        lengths["headline"].append(len(headline.split()))
        count["questions"] += bool(QUESTIONS.match(headline))


def _visit_function(node: ast.FunctionDef | ast.AsyncFunctionDef, count: Counter[str]) -> None:
    """Count a function's docstring, types and ``Args:`` section."""
    text = ast.get_docstring(node) or ""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    typed_result = node.returns is not None or node.name == "__init__"
    typed = typed_result and all(argument.annotation is not None for argument in parameters)
    count["functions"] += 1
    count["documented"] += bool(text)
    count["typed"] += typed
    if not node.name.startswith("_") and len(parameters) >= 3:
        count["public"] += 1
        count["args"] += bool(re.search(r"^\s*(Args|Parameters):", text, re.MULTILINE))


def _whole_line_comments(text: str) -> int:
    """Count the comments that have a line of their own."""
    count = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        before = token.line[: token.start[1]]
        count += token.type == tokenize.COMMENT and not before.strip()
    return count


def _spread(values: list[int], percentile: int) -> str:
    """Format median, percentile and maximum."""
    median, high = np.percentile(values or [0], [50, percentile])
    return f"{median:.0f} / {high:.0f} / {max(values, default=0)}"


def _share(part: int, whole: int) -> str:
    """Format a share with its counts."""
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
