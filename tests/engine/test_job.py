"""Jobs lose nothing, resume, and give the same results with any number of processes."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.cli import Output
from engine.files import LOCK, atomic_write, locked
from engine.job import JobOptions
from engine.run_job import run_job
from tests.engine.shout import Shout, TextFile
from tests.ports import free_port

SCRIPT = Path(__file__).with_name("shout.py")


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.txt").write_text(f"text {number}")
    return folder


def run(folder, output, job=None, **settings):
    job = job or Shout(output)
    inputs = [TextFile(path) for path in sorted(folder.iterdir())]
    report = run_job(job, inputs, output, settings, JobOptions(batch_size=2))
    return job, report


def results(output):
    return {path.name: path.read_text() for path in sorted(output.glob("*.txt"))}


def test_every_input_has_its_result_and_row(texts, tmp_path):
    _, report = run(texts, tmp_path / "out")
    assert results(tmp_path / "out") == {
        f"{number}.txt": f"TEXT {number} {number // 2}" for number in range(7)
    }
    assert [name for name, _ in report.rows] == [f"{number}.txt" for number in range(7)]
    assert report.counts() == {"done": 7, "failed": 0, "skipped": 0}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["counts"]["done"] == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("damaged", "3.txt: damaged"),
        ("poison", "3.txt: poison"),
        ("useless", "would not change"),
        ("bug", "please report"),
    ],
)
def test_what_goes_wrong_with_one_input_is_told_and_the_others_are_done(
    texts, tmp_path, text, told
):
    (texts / "3.txt").write_text(text)
    _, report = run(texts, tmp_path / "out")
    assert list(report.failed) == ["3.txt"]
    assert told in report.failed["3.txt"]
    assert report.counts() == {"done": 6, "failed": 1, "skipped": 0}


def test_the_same_command_again_does_nothing(texts, tmp_path):
    run(texts, tmp_path / "out")
    job, report = run(texts, tmp_path / "out")
    assert job.batches == []
    assert report.nothing_to_do
    assert len(report.rows) == 7


def test_changed_new_and_lost_things_are_done_again_with_their_block(texts, tmp_path):
    run(texts, tmp_path / "out")
    (texts / "2.txt").write_text("TEXT 2")  # as long as before
    os.utime(texts / "5.txt")  # touched, not changed
    (texts / "7.txt").write_text("new")
    (tmp_path / "out" / "0.txt").unlink()
    kept = (tmp_path / "out" / "3.txt").stat().st_mtime_ns
    job, report = run(texts, tmp_path / "out")
    assert [number for number, _ in job.batches] == [0, 1, 3]
    assert report.counts()["done"] == 8
    assert (tmp_path / "out" / "3.txt").stat().st_mtime_ns == kept


def test_an_input_that_fails_again_costs_no_work_on_its_neighbors(texts, tmp_path):
    (texts / "3.txt").write_text("damaged")
    run(texts, tmp_path / "out")
    job, report = run(texts, tmp_path / "out")
    assert job.batches == []
    assert list(report.failed) == ["3.txt"]


def test_results_whose_inputs_are_gone_are_named(texts, tmp_path):
    run(texts, tmp_path / "out")
    (texts / "6.txt").unlink()
    _, report = run(texts, tmp_path / "out")
    assert report.stale == ["6.txt"]
    assert len(report.rows) == 6


def test_an_input_that_failed_and_is_gone_has_no_result_to_name(texts, tmp_path, capsys):
    (texts / "3.txt").write_text("damaged")
    run(texts, tmp_path / "out")
    (texts / "3.txt").unlink()
    (texts / "6.txt").unlink()
    _, report = run(texts, tmp_path / "out")
    assert report.stale == ["6.txt"]
    Output("shout").report(report, "shouted")
    told = capsys.readouterr().err
    assert told == "1 result belongs to an input that is no longer given: 6.txt\n"


def test_an_input_whose_line_in_the_journal_is_damaged_is_done_again(texts, tmp_path):
    output = tmp_path / "out"
    run(texts, output)
    whole = (output / "journal.jsonl").read_text()
    # well-formed all the same
    (output / "journal.jsonl").write_text(whole.replace('"row": {', '"row": {"left": 3, ', 1))
    job, report = run(texts, output)
    assert len(job.batches) == 1
    assert (report.done_before, report.counts()["done"]) == (6, 7)
    assert (output / "journal.jsonl").read_text() == whole


def test_a_journal_of_an_earlier_version_has_no_sums(texts, tmp_path):
    output = tmp_path / "out"
    run(texts, output)
    lines = (output / "journal.jsonl").read_text().splitlines()
    without = [
        json.dumps({key: value for key, value in json.loads(line).items() if key != "crc32"})
        for line in lines
    ]
    (output / "journal.jsonl").write_text("\n".join(without) + "\n")
    job, report = run(texts, output)
    assert not job.batches
    assert report.nothing_to_do


def test_other_settings_and_foreign_files_are_refused(texts, tmp_path):
    run(texts, tmp_path / "out", strength=1)
    with pytest.raises(ValueError, match="strength differs"):
        run(texts, tmp_path / "out", strength=2)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an earlier run's"):
        run(texts, tmp_path / "album")
    assert sorted(path.name for path in (tmp_path / "album").iterdir()) == ["mine.txt"]


def test_two_runs_in_one_folder_are_refused(texts, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(ValueError, match="another run"):
        run(texts, tmp_path / "out")
    run(texts, tmp_path / "out")


def test_a_full_disk_ends_the_job_and_the_same_command_goes_on(texts, tmp_path):
    class Full(Shout):
        def write(self, source, finished):
            if source.name == "4.txt":
                raise OSError(
                    errno.ENOSPC, "No space left on device", str(self.output / source.name)
                )
            return super().write(source, finished)

    with pytest.raises(OSError, match="No space left"):
        run(texts, tmp_path / "out", Full(tmp_path / "out"))
    _, report = run(texts, tmp_path / "out")
    assert report.counts()["done"] == 7
    assert not list((tmp_path / "out").glob(".*"))


def test_unfinished_files_of_killed_runs_are_taken_away(texts, tmp_path):
    out = tmp_path / "out"
    other = tmp_path / "out" / "other"
    beside = tmp_path / "table.csv"
    with (
        atomic_write(out / "5.txt") as left,
        atomic_write(other / "6.txt") as foreign,
        atomic_write(beside) as table,
    ):
        for path in (left, foreign, table, other / LOCK, tmp_path / ".foreign.partial"):
            path.touch()
        shutil.rmtree(other)  # a folder with nothing but unfinished files is as good as empty
        job = Shout(out)
        job.output_files = [beside]
        run(texts, out, job)
        assert not left.exists()
        assert not table.exists()
        assert (tmp_path / ".foreign.partial").exists()
        other.mkdir()
        for path in (left, foreign, other / LOCK):
            path.touch()
        run(texts, out)
        assert not left.exists()
        assert foreign.exists(), "another run keeps that folder"
        for path in (left, table):
            path.touch()


def command(texts, output, *more):
    return [sys.executable, str(SCRIPT), str(texts), str(output), *more]


def test_a_disk_that_fails_under_one_input_does_not_end_the_job(texts, tmp_path):
    (texts / "3.txt").unlink()
    (texts / "3.txt").symlink_to("/proc/self/mem")  # its first byte cannot be read
    _, report = run(texts, tmp_path / "out")
    assert list(report.failed) == ["3.txt"]
    assert report.counts() == {"done": 6, "failed": 1, "skipped": 0}


def test_sigterm_is_obeyed_between_batches(texts, tmp_path):
    process = subprocess.Popen(
        command(texts, tmp_path / "out", "--slow", "1"), stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "out" / "1.txt").is_file():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert 2 <= len(results(tmp_path / "out")) < 7
    _, report = run(texts, tmp_path / "out")
    assert report.counts()["done"] == 7
    assert report.done_before >= 2


# while the processes look for each other, and at work
@pytest.mark.parametrize("sign", ["manifest.json", "1.txt"])
def test_sigterm_for_all_processes_of_a_job_is_told_by_the_first(texts, tmp_path, sign):
    words = command(texts, tmp_path / "out", "--devices", "2", "--slow", "1")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "out" / sign).is_file():
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert said.count("stopped by SIGTERM") == 1
    assert len(results(tmp_path / "out")) < 7
    _, report = run(texts, tmp_path / "out")
    assert report.counts()["done"] == 7


def test_a_killed_job_ends_as_an_unbroken_one(texts, tmp_path):
    run(texts, tmp_path / "whole")
    process = subprocess.Popen(
        command(texts, tmp_path / "out", "--slow", "0.5"), stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "out" / "1.txt").is_file():
        time.sleep(0.02)
    process.kill()
    process.wait()
    run(texts, tmp_path / "out")
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == (
        tmp_path / "whole" / "journal.jsonl"
    ).read_bytes()


LAUNCHERS = {
    "devices": lambda: [sys.executable],
    "torchrun": lambda: [
        str(Path(sys.executable).with_name("torchrun")),
        "--standalone",
        "--nproc_per_node",
        "2",
    ],
    "fabric": lambda: [
        *(
            str(Path(sys.executable).with_name("fabric")),
            "run",
            "--devices",
            "2",
            "--accelerator",
            "cpu",
        ),
        *("--main-port", str(free_port())),  # its own default is one port for all runs on a machine
    ],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_come_to_what_one_does(texts, tmp_path, launcher):
    (texts / "3.txt").write_text("damaged")
    run(texts, tmp_path / "one")
    words = [*LAUNCHERS[launcher](), str(SCRIPT), str(texts), str(tmp_path / "two")]
    words += ["--devices", "2"] if launcher == "devices" else []
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'done': 6") == 1
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert (tmp_path / "two" / "journal.jsonl").read_bytes() == (
        tmp_path / "one" / "journal.jsonl"
    ).read_bytes()


def test_a_launcher_of_another_number_is_refused(texts, tmp_path):
    words = [
        *LAUNCHERS["torchrun"](),
        str(SCRIPT),
        str(texts),
        str(tmp_path / "two"),
        "--devices",
        "3",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make them equal" in done.stderr
