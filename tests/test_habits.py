"""Texts for contributors: paths exist, files parse, the style report counts correctly."""

import json
import re
from pathlib import Path

import pytest
import yaml

import engine
from benchmarks.style import measure

ROOT = Path(__file__).parent.parent
TEXTS = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


@pytest.mark.parametrize("name", TEXTS)
def test_paths_exist(name):
    text = (ROOT / name).read_text()
    named = set(re.findall(r"`([\w.-]+/[\w./-]*)`", text)) | set(
        re.findall(r"\]\(([\w./-]+)\)", text)
    )
    missing = [path for path in named if "NAME" not in path and not (ROOT / path).exists()]
    assert missing == []


def test_make_targets_exist():
    targets = {
        target
        for name in TEXTS
        for target in re.findall(r"`make ([\w-]+)`", (ROOT / name).read_text())
    }
    makefile = (ROOT / "Makefile").read_text()
    assert "quick" in targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_citation_names_the_papers_and_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == engine.__version__
    papers = {reference["url"].rpartition("/")[2] for reference in citation["references"]}
    assert papers == {"2412.09844", "2304.13023", "2510.12119", "2210.10620"}
    readme = (ROOT / "README.md").read_text()
    assert all(
        author["family-names"].replace("é", "{\\'e}") in readme
        for paper in citation["references"]
        for author in paper["authors"]
    )


@pytest.mark.parametrize(
    "file",
    sorted([*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"]),
    ids=lambda file: file.name,
)
def test_settings_of_other_programs_parse(file):
    assert json.dumps(yaml.safe_load(file.read_text()))


def test_the_style_report_counts(tmp_path):
    (tmp_path / "a.py").write_text(
        '"""What it is."""\n'
        "# a comment\n"
        "a, b = 1, 2  # no whole line\n"
        "c = [[x for x in range(3)] for _ in range(3)]\n"
        "def f(x: int, y: int, z: int) -> None:\n"
        '    """Print it.\n\n    Args:\n        x: One.\n    """\n'
        "    print(x)\n"
        "def g(x, y, z):\n"
        "    return x\n"
    )
    figures = measure(tmp_path)
    assert figures["lines"] == "13"
    assert figures["first lines that open with What, Who, Whether, How"] == "1 of 2"
    assert figures["public functions of 3 parameters or more with Args"] == "1 of 2 (50%)"
    assert figures["typed functions"] == "1 of 2 (50%)"
    assert figures["whole-line comments per 1,000 lines"] == f"{1000 / 13:.1f}"
    assert figures["comprehensions per 1,000 lines"] == f"{2000 / 13:.1f}"
    assert figures["nested comprehensions per 1,000 lines"] == f"{1000 / 13:.1f}"
    assert figures["tuple assignments per 1,000 lines"] == f"{1000 / 13:.1f}"
    assert figures["print calls / loggers"] == "1 / 0"
    with pytest.raises(FileNotFoundError, match="no Python files"):
        measure(tmp_path / "none")
