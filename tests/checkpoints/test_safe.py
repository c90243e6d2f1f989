"""Untrusted weight files: read if plain, else refused with the reason, and never run."""

import contextlib
import io
import os
import pickle
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest
import torch

from checkpoints import safe
from checkpoints.safe import open_program, read_pickled, read_state_dict


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def mean_of_nothing(history):
    return 0.0


mean_of_nothing.__module__ = "somelog"
mean_of_nothing.__qualname__ = "History.mean"


@pytest.mark.parametrize("modern", [True, False])
def test_a_malicious_pickle_is_refused_unread(tmp_path, modern):
    torch.save(
        {"state_dict": {"x": Hostile(tmp_path / "harm")}},
        tmp_path / "w.ckpt",
        _use_new_zipfile_serialization=modern,
    )
    with pytest.raises(
        ValueError,
        match=r"posix\.system. It was not opened" if modern else "more than plain tensors",
    ):
        read_pickled(tmp_path / "w.ckpt")
    assert not (tmp_path / "harm").exists()


def test_naming_what_is_replaced_runs_nothing_either(tmp_path):
    torch.save({"x": Hostile(tmp_path / "harm")}, tmp_path / "w.bin")
    with contextlib.suppress(ValueError):
        read_pickled(tmp_path / "w.bin", replaced=["posix.system"])
    assert not (tmp_path / "harm").exists()


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    torch.save({"x": torch.zeros(4)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt", "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w/data/9", "w") as entry,
    ):
        for _ in range(80):
            entry.write(bytes(2**20))
    assert (tmp_path / "w.pt").stat().st_size < 2**18
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match=r"would expand from \d+ to 8388"):
        read_pickled(tmp_path / "w.pt")


def test_a_tensor_that_repeats_itself_without_end_is_refused(tmp_path):
    torch.save({"x": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"shape \(1000000, 1000000\) would expand"):
        read_state_dict(tmp_path / "w.pt")


def test_programs_are_opened_only_where_they_are_trusted(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "p.pt")
    with pytest.raises(ValueError, match="a TorchScript program, not plain weights"):
        read_pickled(tmp_path / "p.pt")
    with pytest.raises(ValueError, match="if you trust its source, say so"):
        open_program(tmp_path / "p.pt", trusted=False)
    assert open_program(tmp_path / "p.pt", trusted=True)(torch.zeros(1, 2)).shape == (1, 2)
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="not a TorchScript file"):
        open_program(tmp_path / "w.pt", trusted=True)


def test_a_trainers_leftovers_are_passed_over_if_they_are_named(tmp_path, monkeypatch):
    module = types.ModuleType("somelog")
    module.History = type("History", (), {"__module__": "somelog", "mean": mean_of_nothing})
    monkeypatch.setitem(sys.modules, "somelog", module)
    history = module.History()
    history.values = np.ones(3)
    history.how = module.History.mean
    weights = {"a": torch.ones(3)}
    torch.save(
        {"state_dict": weights, "log": {"x": history}, "loss": np.float64(2)}, tmp_path / "w.pth"
    )
    with pytest.raises(ValueError, match=r"opening it would run builtins\.getattr"):
        read_state_dict(tmp_path / "w.pth")
    monkeypatch.delitem(sys.modules, "somelog")
    foreign = safe.foreign_objects(tmp_path / "w.pth")
    assert torch.equal(read_state_dict(tmp_path / "w.pth", foreign)["a"], weights["a"])
    assert "somelog" not in sys.modules


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_damaged_files_are_told(tmp_path, content):
    (tmp_path / "w.bin").write_bytes(content)
    with pytest.raises(ValueError, match="damaged, cut short"):
        read_pickled(tmp_path / "w.bin")
    torch.save([torch.zeros(1)], tmp_path / "list.bin")
    with pytest.raises(ValueError, match="not a state dict"):
        read_state_dict(tmp_path / "list.bin")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_pickled(tmp_path / "none.bin")


def test_an_archive_in_several_parts_is_told(tmp_path):
    torch.save({"x": torch.zeros(4)}, tmp_path / "w.pt")
    content = (tmp_path / "w.pt").read_bytes()
    # the locator of a 64-bit archive; its last number counts the parts
    place = content.rindex(b"PK\x06\x07")
    (tmp_path / "w.pt").write_bytes(
        content[: place + 16] + b"\x07\x00\x00\x00" + content[place + 20 :]
    )
    with pytest.raises(ValueError, match="damaged or cut short"):
        read_pickled(tmp_path / "w.pt")
    with pytest.raises(ValueError, match="not a TorchScript file, or damaged"):
        open_program(tmp_path / "w.pt", trusted=True)


def test_a_cut_off_zip_is_told(tmp_path):
    torch.save({"x": torch.zeros(1000)}, tmp_path / "w.bin")
    whole = (tmp_path / "w.bin").read_bytes()
    (tmp_path / "w.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        read_pickled(tmp_path / "w.bin")


def test_old_formats_are_named_as_such(tmp_path):
    torch.save({"x": torch.ones(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read_state_dict(tmp_path / "old.pt")["x"], torch.ones(3)), (
        "plain ones are read"
    )
    with tarfile.open(tmp_path / "tar.pt", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(1, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    torch.save({"x": torch.ones(3)}, tmp_path / "five.pt", pickle_protocol=5)
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps({"x": 1}, protocol=2))
    (tmp_path / "numpy.pkl").write_bytes(pickle.dumps({"x": np.ones(3)}))
    whole = (tmp_path / "old.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[:-3])
    for name, words in {
        "tar.pt": "in the tar format of PyTorch before 0.2",
        "five.pt": "pickled in protocol 5, of which PyTorch reads only 2",
        "bare.pkl": "a bare pickle, not a file that torch.save wrote",
        "numpy.pkl": "opening it would run numpy",
        "cut.pt": "damaged, cut short",
    }.items():
        with pytest.raises(ValueError, match=words):
            read_pickled(tmp_path / name)
