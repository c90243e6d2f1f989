"""Documentation: current generated pages, valid links, running examples, a strict build."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def generator():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current():
    stale = generator().stale()
    assert not stale, f"run make docs: {', '.join(stale)}"


def test_every_verb_and_option_is_on_its_page():
    from engine.cli.help import COMMON, spellings, visible_actions
    from tests.commands import VERBS

    for line in VERBS:
        room, verb = line.split()
        page = (ROOT / "docs" / "reference" / "cli" / f"{room}.md").read_text()
        section = page.partition(f"\n## {verb}\n")[2].partition("\n## ")[0]
        parser = importlib.import_module(f"{room}.__main__").VERBS[verb].parser(line, outline=True)
        wanted = [
            action
            for action in visible_actions(parser)
            if action.dest not in COMMON and not action.dest.startswith("trainer.")
        ]
        names = [
            f"`{name}`"
            for action in wanted
            for name in (spellings(action) or [action.dest.upper()])
        ]
        assert [name for name in names if name not in section] == []


def anchors(page):
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {
        re.sub(
            r"[\s_]+" if "`" in heading else r"\s+",
            "-",
            re.sub(r"[^\w\s-]", "", heading.lower()).strip(),
        )
        for heading in headings
    }


def dead_links(page):
    """Links of a page to files or headings that are not there."""
    dead = []
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert dead_links(page) == []


@pytest.mark.parametrize(
    "link", ["docs/none.md", "docs/faq.md#none", "#none", "docs/images/none.png"]
)
def test_a_dead_link_is_seen(link, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "faq.md").write_text("# FAQ\n\n## Questions\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n[good](docs/faq.md#questions) [dead]({link})\n")
    assert dead_links(page) == [link]


EXAMPLES = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_python_examples_run(block, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(block, "example", "exec"), {})


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module, reason=f"{module} is not installed: make install-dev")
    run = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path),
    ]
    done = subprocess.run(
        run,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', text)
        loaded += re.findall(
            r'<link[^>]*rel="(?:stylesheet|icon|preconnect|preload)"[^>]*href="([^"]+)"', text
        )
        assert [address for address in loaded if re.match(r"(?:\w+:)?//", address)] == []
    assert "Protector" in (tmp_path / "reference" / "api" / "rid" / "index.html").read_text()


def test_messages_of_the_faq_are_those_of_the_code():
    rooms = [*generator().ROOMS, "engine", "images", "models"]
    source = "\n".join(file.read_text() for room in rooms for file in (ROOT / room).rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # a message over several lines
    table = (ROOT / "docs" / "faq.md").read_text().partition("## Messages")[2].partition("\n## ")[0]
    parts = [
        part.strip()
        for message in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
        for part in re.split(r"\.\.\.|[()]", message)
    ]
    assert len(parts) > 25
    assert [part for part in parts if re.search(r"\w{3}", part) and part not in source] == []


def columns():
    """Columns of the tables and keys of the records that commands write, by their writer."""
    from dataclasses import fields

    from datamodules.fake2m.origin import Origin
    from detectors.calibration import Calibration
    from detectors.scan import COLUMNS as FINDING
    from detectors.scores import FACTS
    from engine.journal import Entry
    from eval.studies.purify import PurifyJob
    from eval.studies.retrieval_tables import DETECTION, RETRIEVAL
    from images.headers import Header
    from indexing.activate import ActivateJob
    from indexing.dedup import COLUMNS as MEMBER
    from indexing.index_facts import IndexFacts
    from indexing.matches import COLUMNS as MATCH
    from models.store import StoredImage
    from rid.protect.job import ProtectJob

    named = {job.__name__: job.columns for job in (ProtectJob, ActivateJob, PurifyJob)}
    named |= {
        kind.__name__: [field.name for field in fields(kind)]
        for kind in (Entry, Calibration, Header, StoredImage)
    }
    named["Origin"] = [field.name for field in fields(Origin) if field.name != "captions"]
    named |= {
        "Finding": FINDING,
        "Match": MATCH,
        "Member": MEMBER,
        "Scores": ("label", "logit", "score", *FACTS),
        "retr": RETRIEVAL,
        "icd": DETECTION,
    }
    return named | {"IndexFacts": list(IndexFacts.__annotations__)}


def test_every_column_is_among_the_file_formats():
    page = (ROOT / "docs" / "reference" / "file-formats.md").read_text()
    missing = {
        name: [column for column in found if f"`{column}`" not in page]
        for name, found in columns().items()
    }
    assert {name: found for name, found in missing.items() if found} == {}
