"""Commands in documents, configs and examples: launchers, verbs, options, values, paths."""

import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from checkpoints.registry import registry
from engine.cli import UsageError
from tests.commands import ROOMS, VERBS, parse

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    ROOT / "benchmarks" / "README.md",
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
STARTERS = ("python", "torchrun", "fabric", "srun")


@dataclass(frozen=True)
class Started:
    """A command line taken apart.

    Attributes:
        launcher: Words of torchrun or ``fabric run`` and its options; empty without one.
        module: What ``python -m`` or a launcher starts.
        rest: Words after it.
    """

    launcher: tuple[str, ...]
    module: str
    rest: tuple[str, ...]

    @property
    def line(self):
        return shlex.join([self.module, *self.rest])


def started(text):
    """A line that starts a Python module or a launcher; None if it does neither."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return None
    while words and re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    if not words or words[0] not in STARTERS:
        return None
    if words[0] == "srun":
        words = words[
            next((place for place, word in enumerate(words) if word in STARTERS[:3]), 0) :
        ]
    launcher = ()
    if words[0] != "python":
        place = next(
            (place for place, word in enumerate(words) if word == "-m" or word.endswith(".py")),
            len(words) - 1,
        )
        launcher, words = tuple(words[:place]), ["python", *words[place:]]
    if len(words) > 2 and words[1] == "-m":
        return Started(launcher, words[2], tuple(words[3:]))
    if len(words) > 1 and words[1].endswith("/__main__.py"):
        return Started(
            launcher, words[1].removesuffix("/__main__.py").replace("/", "."), tuple(words[2:])
        )
    return None


def command(text):
    """``ROOM VERB ...`` of a line that starts a command of ours; None if it does not."""
    found = started(" ".join(text.split()))
    return found.line if found and found.module in ROOMS else None


def code_lines():
    """Commands of code blocks, configs' headers, the Makefile and the registry's next steps."""
    lines = []
    for file in DOCUMENTS:
        for language, block in FENCE.findall(file.read_text()):
            if language not in ("python", "text", "bibtex"):
                lines += block.replace("\\\n", " ").splitlines()
    for file in sorted(ROOT.glob("configs/**/*.yaml")):
        header = "\n".join(
            line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#")
        )
        lines += header.replace("\\\n", " ").splitlines()
    lines += [
        line.strip().replace("$(BIN)/", "") for line in (ROOT / "Makefile").read_text().splitlines()
    ]
    steps = [
        part
        for entry in registry().values()
        for part in re.split(r"[;,] |[.](?: |$)|then |: ", entry.steps or "")
    ]
    return [" ".join(line.split()) for line in [*lines, *steps]]


def blocks():
    """Whole command lines of ours."""
    return sorted(
        {found for line in code_lines() if (found := command(line)) and "VERB" not in found}
    )


def mentions():
    """Commands in running text, which may leave out what they need."""
    texts = [
        text
        for file in DOCUMENTS
        for text in re.findall(r"`([^`]*)`", FENCE.sub("", file.read_text()))
    ]
    return sorted(
        {
            found
            for text in texts
            if (found := command(text)) and not re.search(r"VERB|…|\.\.\.", found)
        }
    )


def check_start(found):
    """Refuse what starts no module of ours, and launchers' own options that they do not have.

    Raises:
        AssertionError: If there is no such module, or a launcher takes no such options.
    """
    module = ROOT / found.module.replace(".", "/")
    known = (
        found.module in (*ROOMS, "pip")
        or module.with_suffix(".py").is_file()
        or (module / "__main__.py").is_file()
    )
    assert known, f"no module {found.module}"
    if found.launcher and found.launcher[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        launcher = get_args_parser()
        launcher.allow_abbrev = False
        try:
            launcher.parse_args([*found.launcher[1:], "-m", found.module])
        except SystemExit:
            pytest.fail(f"torchrun does not take {' '.join(found.launcher[1:])}")
    elif found.launcher:
        import click
        from lightning.fabric.cli import _main

        try:
            assert found.launcher[1] == "run"
            _main.commands["run"].make_context(
                "run", [*found.launcher[2:], str(module / "__main__.py")]
            )
        except click.UsageError as error:
            pytest.fail(f"fabric run: {error.format_message()}")


@pytest.mark.parametrize("line", blocks())
def test_command_lines_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    if line.endswith((" --help", " --help-all")):
        assert line.rpartition(" ")[0] in {*ROOMS, *VERBS}
    else:
        parse(line.removesuffix(" --print_config"))


@pytest.mark.parametrize("line", mentions())
def test_commands_in_text_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    wrong = ""
    try:
        parse(line)
    except UsageError as error:
        wrong = str(error)
    assert not wrong or wrong.startswith("missing: ")


@pytest.mark.parametrize(
    "line", sorted({line for line in code_lines() if started(line) and "PACKAGE" not in line})
)
def test_lines_start_modules_that_exist(line):
    check_start(started(line))


@pytest.mark.parametrize("line", VERBS)
def test_examples_of_help_parse(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    room, verb = line.split()
    parse(import_module(f"{room}.__main__").VERBS[verb].example)


@pytest.mark.parametrize(
    "line",
    [
        "rid protect P/ -o O/ --strip_metadat true",  # options
        "rid protect P/ -o O/ --wieghts RID/",
        "indexing build F/ -o I/ --factroy Flat",
        "detectors test D/ --dtaa '[S/*.tar]' -o O/",
        "rid fit -c configs/rid/tiny_adv_sds.yaml --trainer.max_stesp 3",
        "checkpoints convert A B --kind rid --bugdet 6",
        "rid protcet P/ -o O/",  # verbs
        "eval rag_robust -o O/",
        "rid fit -c configs/rid/no_such.yaml",  # configs that are not there
        "eval rag -c configs/sentinels/no_such.yaml -o O/",
        "rid convert A B C",  # positional arguments
        "sentinels retrieve V/ 'a red house' another",
        "sentinels decide record.json -o O/",
        "checkpoints list rid sd-1.5",
        "rid protect P/ -o O/ --resize-mode window",  # choices
        "rid protect P/ -o O/ --devices many",
        "sentinels plant P/ -o O/ --planter remote",
        "datamodules shard P/ -o O/ --label fake",
        "checkpoints convert A B --kind sentry",
        "rid fit -c configs/rid/tiny_adv_sds.yaml --model.regression_norm l3",
        "eval purify P/ -o O/ --method Jpg",  # classes and their settings
        "eval purify P/ -o O/ --method Jpeg --method.qualty 75",
    ],
)
def test_a_wrong_command_is_seen(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((UsageError, AssertionError, KeyError)):
        parse(line)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("batch_sise: 4\n", "rid protect P/ -o O/ -c {}"),
        ("batch_size: four\n", "rid protect P/ -o O/ -c {}"),
        ("activation:\n  itertions: 3\n", "indexing activate P/ -o O/ --index I/ -c {}"),
        ("decide:\n  levl: 0.1\n", "eval rag -c configs/sentinels/tiny_rag.yaml -c {} -o O/"),
        ("trainer:\n  max_stesp: 3\n", "rid fit -c configs/rid/tiny_adv_sds.yaml -c {}"),
        (
            "model:\n  generator:\n    init_args:\n      widht: 3\n",
            "rid fit -c configs/rid/tiny_adv_sds.yaml -c {}",
        ),
    ],
)
def test_a_wrong_key_in_a_config_is_seen(config, line, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "wrong.yaml").write_text(config)
    with pytest.raises(UsageError):
        parse(line.format(tmp_path / "wrong.yaml"))


@pytest.mark.parametrize(
    "line",
    [
        "python -m rids protect P/ -o O/",
        "python -m benchmarks.speed",
        "torchrun --nproc_per_nod 8 -m rid fit -c X",
        "torchrun --nproc_per_node 8 -m ridd fit -c X",
        "fabric run --devcies 8 rid/__main__.py fit -c X",
        "fabric run --devices 8 ridd/__main__.py fit -c X",
        "fabric runn --devices 8 rid/__main__.py fit -c X",
        "srun python -m rdi fit -c X",
    ],
)
def test_a_wrong_start_is_seen(line):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_start(started(line))


def test_commands_are_found():
    assert len(blocks()) > 120
    assert {line.split()[0] for line in blocks()} == set(ROOMS)
    assert (
        "rid fit -c configs/rid/combined.yaml --trainer.devices 8 --trainer.strategy ddp"
        in blocks()
    )
    assert {
        found.launcher[0] for line in code_lines() if (found := started(line)) and found.launcher
    } == {"torchrun", "fabric"}


@pytest.mark.parametrize(
    "line",
    [
        "python -m rid fit -c X",
        "OMP_NUM_THREADS=1 python -m rid fit -c X   # train",
        "torchrun --nproc_per_node 8 -m rid fit -c X",
        "torchrun --nnodes 4 --rdzv_endpoint HOST:29500 -m rid fit -c X",
        "PYTHONPATH=. fabric run --devices 8 rid/__main__.py fit -c X",
        "srun python -m rid fit -c X",
        "srun --nodes 4 torchrun --nproc_per_node 8 -m rid fit -c X",
    ],
)
def test_a_command_is_the_same_under_every_launcher(line):
    assert command(line) == "rid fit -c X"


def paths():
    """Configs, toy models and source files that documents name."""
    found = set()
    for file in DOCUMENTS:
        text = file.read_text()
        found |= set(re.findall(r"\bconfigs/[\w/]+\.yaml|\bcheckpoints/tiny/[\w-]+", text))
        if file.name != "coming-from.md":  # which names files of other repositories
            found |= set(re.findall(r"(?<![\w/.-])[a-z_]+/[\w/]+\.py\b", text))
    return sorted(found)


@pytest.mark.parametrize("path", paths())
def test_paths_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "target",
    sorted(
        {
            found
            for file in DOCUMENTS
            for found in re.findall(r"(?:^|`)make ([a-z-]+)", file.read_text())
        }
    ),
)
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
