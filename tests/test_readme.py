"""The commands that documents, configs and examples show are right: verbs, options, values, and the paths they name."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from checkpoints.registry import registry
from engine.cli import UsageError
from tests.commands import ROOMS, VERBS, parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), ROOT / "benchmarks" / "README.md"]
STARTED = re.compile(
    r"^(?:\w+=\S* )*(?:srun )?(?:python|torchrun [-\w ]+?|fabric run [-\w ]+?) (?:-m )?"
    rf"(?P<room>{'|'.join(ROOMS)})(?:/__main__\.py)? (?P<rest>.*)$"
)


def command(text):
    """``ROOM VERB ...`` of a line that starts a command of ours; None if it does not."""
    found = STARTED.match(" ".join(text.split()))
    return f"{found['room']} {found['rest']}" if found else None


def blocks():
    """Whole command lines, from code blocks, configs' headers, the Makefile and what the models' registry says is next."""
    lines = []
    for file in DOCUMENTS:
        for block in re.findall(r"^```\w*\n(.*?)^```", file.read_text(), re.DOTALL | re.MULTILINE):
            lines += block.replace("\\\n", " ").splitlines()
    for file in sorted(ROOT.glob("configs/**/*.yaml")):
        header = "\n".join(line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#"))
        lines += header.replace("\\\n", " ").splitlines()
    lines += [line.strip().replace("$(BIN)/", "") for line in (ROOT / "Makefile").read_text().splitlines()]
    steps = [part for entry in registry().values() for part in re.split(r"[;,] |[.](?: |$)|then |: ", entry.steps or "")]
    return sorted({found for line in [*lines, *steps] if (found := command(line)) and "VERB" not in found})


def mentions():
    """Commands in running text, which may leave out what they need."""
    texts = [text for file in DOCUMENTS for text in re.findall(r"`([^`]*)`", re.sub(r"^```.*?^```", "", file.read_text(), flags=16 | 8))]
    return sorted({found for text in texts if (found := command(text)) and not re.search(r"VERB|…|\.\.\.", found)})


@pytest.mark.parametrize("line", blocks())
def test_command_lines_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    parse(line)


@pytest.mark.parametrize("line", mentions())
def test_commands_in_text_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    wrong = ""
    try:
        parse(line)
    except UsageError as error:
        wrong = str(error)
    assert not wrong or wrong.startswith("missing: ")


@pytest.mark.parametrize("line", VERBS)
def test_examples_of_help_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    room, verb = line.split()
    if verb != "rag-robustness":  # its example names a config of one's own
        parse(import_module(f"{room}.__main__").VERBS[verb].example)


@pytest.mark.parametrize(
    "line",
    [
        "rid protect P/ -o O/ --strip_metadat true",
        "rid protect P/ -o O/ --wieghts RID/",
        "rid protcet P/ -o O/",
        "indexing build F/ -o I/ --factroy Flat",
        "detectors test D/ --dtaa '[S/*.tar]' -o O/",
        "rid fit -c configs/rid/tiny_adv_sds.yaml --trainer.max_stesp 3",
        "rid fit -c configs/rid/no_such.yaml",
        "checkpoints convert A B --kind rid --bugdet 6",
    ],
)
def test_a_wrong_command_is_seen(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((UsageError, AssertionError)):
        parse(line)


def test_commands_are_found():
    assert len(blocks()) > 60
    assert {line.split()[0] for line in blocks()} == set(ROOMS)
    assert "rid fit -c configs/rid/combined.yaml --trainer.devices 8 --trainer.strategy ddp" in blocks()  # torchrun's and fabric's, too
    assert command("torchrun --nproc_per_node 8 -m rid fit -c X") == command("PYTHONPATH=. fabric run --devices 8 rid/__main__.py fit -c X")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"configs/[\w/]+\.yaml|[a-z_]+/[\w/]+\.py", README))))
def test_paths_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.MULTILINE))))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
