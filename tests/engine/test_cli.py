"""Exit codes, one-line errors, and the streams of results, notes and errors."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from engine import __version__
from engine.cli import Output, Room, Stopped, Verb, one_line, run
from engine.job import Report
from engine.progress import bars_shown

ROOT = Path(__file__).parents[2]


class Faulty(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        try:
            raise KeyError(index)
        except KeyError as error:
            msg = "a.tar, 7:\n  no record with a label; write the shards again"
            raise ValueError(msg) from error


def raising(error):
    def command(_):
        raise error

    return command


def started(script, *options, **settings):
    """A process that runs a script; a command gets the name ``main``."""
    return subprocess.run(
        [sys.executable, *options, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **settings,
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_loader_process_is_as_short_as_one_of_our_own(workers, capsys):
    assert run(lambda _: len(list(DataLoader(Faulty(), num_workers=workers))), []) == 2
    assert (
        capsys.readouterr().err
        == "error: a.tar, 7: no record with a label; write the shards again\n"
    )


def test_other_messages_stay_whole():
    assert (
        one_line(ValueError("KeyError: what a file\n says: x")) == "KeyError: what a file says: x"
    )
    assert one_line(ValueError()) == "ValueError"
    assert one_line(PermissionError(13, "Permission denied", "/a/b")) == "/a/b: permission denied"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("no such thing"), 2, "error: no such thing"),
        (
            FileNotFoundError(2, "No such file or directory", "a.png"),
            2,
            "error: a.png: no such file or directory",
        ),
        (MemoryError(), 2, "error: out of memory: use a smaller --batch-size, or smaller images"),
        (
            ModuleNotFoundError("x", name="gradio.blocks"),
            2,
            "error: gradio.blocks is not installed: run make install, or",
        ),
        (KeyError("x"), 70, "fault in this program at tests/engine/test_cli.py:"),
        (TypeError("a\nb"), 70, "fault in this program at tests/engine/test_cli.py:"),
        (ModuleNotFoundError("x", name="rid.gone"), 70, "fault in this program"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (Stopped(), 143, "stopped by SIGTERM"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_every_end_is_one_line_and_one_code(error, code, words, capsys):
    assert run(raising(error), []) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(words)
    assert said.err.count("\n") == bool(words)


def test_a_fault_of_ours_asks_for_a_report(capsys):
    assert run(raising(RuntimeError("Half did not match Float")), []) == 70
    said = capsys.readouterr().err
    assert "RuntimeError: Half did not match Float" in said
    assert "report it" in said
    assert "python -X dev -m" in said


def test_development_mode_shows_the_traceback():
    done = started("from engine.cli import run\nrun(lambda _: 1 / 0, [])", "-X", "dev")
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_sigterm_ends_a_command_at_once():
    script = (
        "import time\nfrom engine.cli import run\nimport sys\nsys.exit(run(lambda _: "
        "print('begun', flush=True) or time.sleep(60)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert time.monotonic() - before < 20
        assert process.stderr.read() == "stopped by SIGTERM\n"


def test_a_reader_that_leaves_is_no_error():
    script = (
        "import sys\nfrom engine.cli import run\nsys.exit(run(lambda _: [print('line') "
        "for _ in range(100000)] and 0))"
    )
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{script}" | head -1; exit ${{PIPESTATUS[0]}}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("line\n", "", 141)


NOISY = """
import logging, sys, warnings
from engine.cli import run

def command(_):
    warnings.warn("the library's", FutureWarning)
    warnings.simplefilter("always")
    warnings.warn("the library's again", DeprecationWarning)
    for name in ("somelibrary", "somelibrary.part"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.StreamHandler())
        logger.warning("advertisement")
    logging.getLogger("somelibrary").error("a library's error")
    from tqdm import tqdm
    list(tqdm([1], desc="a library's bar"))
    logging.getLogger("rid.protect.job").info("ours")
    logging.getLogger("rid.protect.job").warning("ours, too")
    return 0

sys.exit(run(command))
"""


def test_libraries_are_quiet_and_we_are_heard():
    done = started(NOISY)
    assert done.returncode == 0
    assert set(done.stderr.splitlines()) == {
        "error: a library's error",
        "a library's error",
        "ours",
        "warning: ours, too",
    }


def test_development_mode_shows_all():
    said = started(NOISY, "-X", "dev").stderr
    assert "advertisement" in said
    assert "the library's again" in said
    assert "a library's bar" in said


def test_a_trainer_advertises_nothing():
    script = """
from engine.cli import run
def command(_):
    from lightning import Trainer, seed_everything
    seed_everything(0)
    Trainer(accelerator="cpu", logger=False, max_steps=1)
    return 0
run(command)
"""
    done = started(script)
    assert (done.stdout, done.stderr) == ("", "")


def judge(settings, output):
    output.note("a note")
    output.warning("mind the gap")
    output.row("images", "a.png: real", name="a.png", verdict="real")
    output.result("1 judged", counts={("real", "val"): 1}, where=Path("out"), nothing=float("nan"))
    if settings.fail:
        raise ValueError("went wrong")
    return 1


ROOM = Room(
    "room",
    "A room.",
    {
        "judge": Verb(
            "Judge.",
            "room judge",
            lambda parser: parser.add_argument("--fail", action="store_true"),
            judge,
        )
    },
)


def test_results_are_on_stdout_and_the_rest_on_stderr(capsys):
    assert run(ROOM.main, ["judge"]) == 1
    assert capsys.readouterr() == ("a.png: real\n1 judged\n", "a note\nwarning: mind the gap\n")


def test_quiet_hides_logged_notes_and_keeps_warnings():
    script = """
import logging, sys
from engine.cli import Room, Verb, run

def act(settings, output):
    for name in ("rid.training", "some.library"):
        logging.getLogger(name).info("note of %s", name)
        logging.getLogger(name).warning("mind %s", name)

room = Room("room", "A room.", {"act": Verb("Act.", "room act", lambda parser: None, act)})
sys.argv[1:] = ARGUMENTS
sys.exit(run(room.main))
"""
    told = [
        started(script.replace("ARGUMENTS", repr(["act", *more]))).stderr
        for more in ([], ["--quiet"])
    ]
    assert told == [
        "note of rid.training\nwarning: mind rid.training\n",
        "warning: mind rid.training\n",
    ]


def test_quiet_leaves_out_notes_and_bars(capsys, monkeypatch):
    monkeypatch.setattr("engine.progress._hidden", False)
    monkeypatch.setattr("engine.cli.noise._notes_hidden", False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert bars_shown()
    assert run(ROOM.main, ["judge", "--quiet"]) == 1
    assert capsys.readouterr() == ("a.png: real\n1 judged\n", "warning: mind the gap\n")
    assert not bars_shown()


@pytest.mark.parametrize(("more", "code"), [([], 1), (["--fail"], 2), (["--fial"], 2)])
def test_json_is_one_document_whatever_happens(more, code, capsys):
    assert run(ROOM.main, ["judge", "--json", *more]) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["exit_code"]) == ("room judge", code)
    if more == ["--fial"]:
        assert found["error"] == "there is no option --fial; did you mean --fail?"
        return
    assert found["images"] == [{"name": "a.png", "verdict": "real"}]
    assert found["counts"] == {"real - val": 1}
    assert (found["where"], found["nothing"], found["warnings"]) == ("out", None, ["mind the gap"])
    assert found.get("error") == ("went wrong" if more else None)


def test_what_is_printed_by_others_does_not_spoil_the_document(capsys):
    def act(settings, output):
        print("a library prints")
        output.result("1", one=1)

    room = Room("room", "A room.", {"act": Verb("Act.", "room act", lambda parser: None, act)})
    assert run(room.main, ["act", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["one"] == 1
    assert said.err == "a library prints\n"


def test_wrong_verbs(capsys):
    assert run(ROOM.main, ["jugde"]) == 2
    assert (
        capsys.readouterr().err
        == "error: python -m room has no verb 'jugde'; did you mean judge?\n"
    )
    assert run(ROOM.main, ["--frob"]) == 2
    assert (
        capsys.readouterr().err
        == "error: python -m room has no option '--frob'; its verbs are judge\n"
    )
    assert run(ROOM.main, []) == 2
    assert "judge  Judge." in capsys.readouterr().err
    assert run(ROOM.main, ["--help"]) == 0
    assert "judge  Judge." in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--version"], ["judge", "--version"]])
def test_versions(arguments, capsys):
    assert run(ROOM.main, arguments) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines["image-defence"] == __version__
    assert {"python", "torch", "lightning", "diffusers"} <= set(lines)
    assert run(ROOM.main, [*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == lines


def test_what_is_left_out_is_told_even_quietly(capsys, monkeypatch):
    monkeypatch.setattr("engine.progress._hidden", False)
    output = Output("room judge", quiet=True)
    report = Report([("a", {})], {"b": "b: damaged"}, {"c.txt": "not an image by its name"}, 0, [])
    assert output.report(report, "judged") == 1
    assert capsys.readouterr() == (
        "1 judged\n",
        "skipped c.txt: not an image by its name\nerror: b: damaged\n",
    )
    assert (output.record["done"], set(output.record["failed"]), set(output.record["skipped"])) == (
        1,
        {"b"},
        {"c.txt"},
    )


def test_a_process_leaves_its_group_before_it_ends():
    script = """
import atexit, os, sys
import torch.distributed as distributed
from engine.cli import run

def main(arguments):
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    return 0

def names():
    tasks = os.listdir("/proc/self/task")
    return {open(f"/proc/self/task/{task}/comm").read().strip() for task in tasks}

atexit.register(lambda: print(distributed.is_initialized(), "pt_gloo_runloop" in names()))
sys.exit(run(main))
"""
    ended = started(script)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "False False\n"


def test_a_link_to_itself_is_one_line(tmp_path, capsys):
    (tmp_path / "out").symlink_to(tmp_path / "out")
    assert run(lambda _: len(str((tmp_path / "out").resolve())), []) == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path / 'out'}: too many levels of symbolic links\n"


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", "é caf\\udce9"), ("ascii", "\\xe9 caf\\udce9")]
)
def test_names_that_stdout_cannot_encode_are_escaped(encoding, said, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stdout)
    output = Output("rid protect")
    output.result("é caf\udce9")
    output.row("rows", "é caf\udce9")
    stdout.flush()
    assert stdout.buffer.getvalue().decode(encoding).split("\n") == [said, said, ""]
