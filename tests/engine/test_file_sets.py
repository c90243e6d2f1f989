"""Files that change together."""

import pytest

import engine.file_sets
from engine.file_sets import NEXT, move_staged_files, write_set
from engine.records import read_json, to_json


def write(folder, text):
    files = {name: lambda target: target.write_text(text) for name in ("a.txt", "b.txt")}
    write_set(folder, files, "record.json", lambda sums: to_json({"sha256": sums}))


def contents(folder):
    move_staged_files(folder, read_json(folder / "record.json", dict)["sha256"])
    return {path.name: path.read_text() for path in folder.glob("*.txt")}


@pytest.mark.parametrize(
    ("step", "after"), [("staged", "old"), ("record", "old"), ("first", "new"), ("second", "new")]
)
def test_a_killed_run_leaves_all_old_or_all_new_files(step, after, tmp_path, monkeypatch):
    write(tmp_path, "old")
    moves = 0

    def die(*_):
        raise KeyboardInterrupt

    def replace(source, target):
        nonlocal moves
        moves += 1
        if moves == {"first": 1, "second": 2}.get(step):
            raise KeyboardInterrupt
        source.rename(target)

    if step == "staged":
        monkeypatch.setattr(engine.file_sets, "file_digest", die)
    elif step == "record":
        monkeypatch.setattr(engine.file_sets, "write_text", die)
    monkeypatch.setattr(engine.file_sets.os, "replace", replace)
    if step in ("first", "second"):
        monkeypatch.setattr(engine.file_sets, "atomic_write", PlainWrite)
        monkeypatch.setattr(
            engine.file_sets, "write_text", lambda path, text: path.write_text(text)
        )
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "new")
    monkeypatch.undo()
    assert contents(tmp_path) == {"a.txt": after, "b.txt": after}
    write(tmp_path, "newer")
    assert contents(tmp_path) == {"a.txt": "newer", "b.txt": "newer"}
    assert not list(tmp_path.glob(f"*{NEXT}"))


class PlainWrite:
    """An atomic write that moves nothing, so that moves can be counted."""

    def __init__(self, target):
        self.target = target

    def __enter__(self):
        return self.target

    def __exit__(self, *_):
        return None


def test_a_record_moves_no_file_outside_its_folder(tmp_path):
    folder = tmp_path / "inside"
    write(folder, "x")
    sums = read_json(folder / "record.json", dict)["sha256"]
    (tmp_path / f"a.txt{NEXT}").write_text("x")
    move_staged_files(folder, {"../a.txt": sums["a.txt"]})
    assert not (tmp_path / "a.txt").exists()
