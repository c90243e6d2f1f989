"""``python -m eval purify``: folders, results and errors."""

import torch

from engine.cli import run
from eval.__main__ import main
from eval.attacks import purification as methods
from images.io import open_photo, save_png, to_rgb
from images.photo import Photo


def test_the_command_on_a_folder(tmp_path, portraits, capsys):
    for index in range(2):
        save_png(
            Photo(to_rgb(portraits[index])),
            tmp_path / "in" / "person" / f"{index}.png",
        )
    (tmp_path / "in" / "note.png").write_text("no picture")
    arguments = [
        "purify",
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--method",
        "Jpeg",
        "--method.quality",
        "50",
    ]
    assert run(main, arguments) == 1
    assert "note.png: not a valid image file" in capsys.readouterr().err
    made = tmp_path / "out" / "person" / "0.png"
    expected = methods.Jpeg(50)(portraits[:1], torch.Generator().manual_seed(0))[0]
    assert torch.equal(open_photo(made).tensor(), expected)
    before = made.stat().st_mtime_ns
    assert run(main, arguments) == 1
    assert made.stat().st_mtime_ns == before
    assert run(main, [*arguments[:-1], "40"]) == 2
    assert "other settings or weights (method differs)" in capsys.readouterr().err


def test_results_are_kept_apart_from_inputs(tmp_path, portraits, capsys):
    save_png(Photo(to_rgb(portraits[0])), tmp_path / "a" / "0.png")
    save_png(Photo(to_rgb(portraits[1])), tmp_path / "b" / "0.png")
    assert (
        run(main, ["purify", str(tmp_path / "a"), "-o", str(tmp_path / "a"), "--method", "Jpeg"])
        == 2
    )
    assert "is the input" in capsys.readouterr().err
    assert (
        run(main, ["purify", str(tmp_path / "a"), "-o", str(tmp_path / "out"), "--method", "Jpeg"])
        == 0
    )
    assert (
        run(
            main, ["purify", str(tmp_path / "b"), "-o", str(tmp_path / "out"), "--method", "DownUp"]
        )
        == 2
    )
    assert "other settings" in capsys.readouterr().err
    assert (
        run(
            main,
            [
                "purify",
                str(tmp_path / "b"),
                "-o",
                str(tmp_path / "c"),
                "--method",
                "Jpeg",
                "--accelerator",
                "toaster",
            ],
        )
        == 2
    )
    assert "toaster" in capsys.readouterr().err


def test_an_unknown_method_is_one_line(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert (
        run(
            main,
            ["purify", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--method", "Bleach"],
        )
        == 2
    )
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
