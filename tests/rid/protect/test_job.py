"""The ``protect`` verb, through its real entry point."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.cli import run
from rid.__main__ import main


@pytest.fixture
def photos(tmp_path):
    """A folder of sizes, modes, sub-folders, rotated photos, and three that are not images."""
    root = tmp_path / "photos"
    (root / "holiday").mkdir(parents=True)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8))
    noise.save(root / "beach.jpg", quality=92)
    noise.convert("L").save(root / "grey.png")
    noise.convert("CMYK").save(root / "cmyk.tif")
    noise.resize((33, 200)).save(root / "holiday" / "tall.webp")
    noise.resize((40, 40)).save(root / "beach.png")
    Image.fromarray(rng.integers(0, 256, (50, 50, 4), np.uint8)).save(root / "glass.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    noise.save(root / "turned.jpg", exif=turned)
    (root / "notes.txt").write_text("not a picture")
    (root / "fake.png").write_text("text in disguise")
    (root / "cut.jpg").write_bytes((root / "beach.jpg").read_bytes()[:900])
    return root


def protect(*arguments):
    return run(main, ["protect", *map(str, arguments)])


def test_good_files_are_protected_and_bad_ones_named(photos, tmp_path, generator_folder, capsys):
    out = tmp_path / "out"
    code = protect(photos, "-o", out, "--weights", generator_folder)
    told = capsys.readouterr()
    assert code == 1
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 2
    assert any("fake.png: not a valid image file" in line for line in errors)
    assert any("cut.jpg: damaged, cut short" in line for line in errors)
    assert "skipped notes.txt" in told.err
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written == {
        "beach.jpg.png",
        "beach.png.png",
        "grey.png",
        "cmyk.png",
        "holiday/tall.png",
        "glass.png",
        "turned.png",
        "manifest.json",
        "journal.jsonl",
        "protected.csv",
    }
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 7, "failed": 2, "skipped": 1}
    assert manifest["budget_levels"] == 6.0
    assert len(manifest["settings"]["weights"]["sha256"]["model.safetensors"]) == 64


def test_every_pixel_of_the_saved_files_is_within_the_budget(photos, tmp_path, generator_folder):
    out = tmp_path / "out"
    protect(photos, "-o", out, "--weights", generator_folder)
    for source, name in (
        ("beach.jpg", "beach.jpg.png"),
        ("grey.png", "grey.png"),
        ("holiday/tall.webp", "holiday/tall.png"),
    ):
        before = np.asarray(Image.open(photos / source).convert("RGB"), np.int16)
        after = np.asarray(Image.open(out / name), np.int16)
        assert before.shape == after.shape
        assert 0 < np.abs(before - after).max() <= 6


def test_strength_bounds_what_is_saved(photos, tmp_path, generator_folder, capsys):
    arguments = [photos, "-o", tmp_path / "half", "--weights", generator_folder]
    protect(*arguments, "--strength", 0.5)
    assert "no value changed by more than 3 of 255 levels" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "half" / "manifest.json").read_text())
    assert manifest["budget_levels"] == 3.0
    assert protect(*arguments) == 2, "another strength is another job"
    assert "strength differs" in capsys.readouterr().err
    for strength, words in (("0", "above 0 and at most 1"), ("0.1", "use at least 0.17")):
        assert protect(*arguments[:2], tmp_path / "new", "--strength", strength) == 2
        assert words in capsys.readouterr().err


def test_a_folder_of_a_version_without_strength_goes_on(photos, tmp_path, generator_folder):
    arguments = [photos, "-o", tmp_path / "out", "--weights", generator_folder]
    protect(*arguments)
    file = tmp_path / "out" / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["settings"]["strength"]
    file.write_text(json.dumps(manifest))
    assert protect(*arguments, "--strength", 0.5) == 2
    assert protect(*arguments) == 1, "two photos cannot be read; nothing else is wrong"


def test_orientation_is_applied_and_alpha_kept(photos, tmp_path, generator_folder):
    out = tmp_path / "out"
    protect(photos, "-o", out, "--weights", generator_folder)
    with Image.open(out / "turned.png") as turned:
        assert turned.size == (90, 120)
    before, after = Image.open(photos / "glass.png"), Image.open(out / "glass.png")
    assert after.mode == "RGBA"
    assert np.array_equal(np.asarray(before.getchannel("A")), np.asarray(after.getchannel("A")))


def test_two_runs_are_identical(photos, tmp_path, generator_folder):
    for name in ("one", "two"):
        protect(photos, "-o", tmp_path / name, "--weights", generator_folder)
    assert (tmp_path / "one" / "grey.png").read_bytes() == (
        tmp_path / "two" / "grey.png"
    ).read_bytes()


def one_error(capsys, words, *arguments):
    assert protect(*arguments) == 2
    told = capsys.readouterr().err
    lines = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in told


def test_an_empty_folder(tmp_path, generator_folder, capsys):
    (tmp_path / "empty").mkdir()
    one_error(
        capsys,
        "no images in this folder",
        tmp_path / "empty",
        "-o",
        tmp_path / "out",
        "--weights",
        generator_folder,
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_folder(tmp_path, generator_folder, capsys):
    one_error(
        capsys,
        "no such file or folder",
        tmp_path / "nowhere",
        "-o",
        tmp_path / "out",
        "--weights",
        generator_folder,
    )


def test_a_missing_checkpoint(photos, tmp_path, capsys):
    one_error(
        capsys, "hf download some/model", photos, "-o", tmp_path / "out", "--weights", "some/model"
    )
    assert not (tmp_path / "out").exists()


def test_an_output_folder_inside_the_input(photos, generator_folder, capsys):
    one_error(
        capsys, "lies inside the input", photos, "-o", photos / "out", "--weights", generator_folder
    )


def damaged(generator_folder, tmp_path, change):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "config.json").write_text((generator_folder / "config.json").read_text())
    save_file(
        change(load_file(generator_folder / "model.safetensors")), folder / "model.safetensors"
    )
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda state: {"module." + key: value for key, value in state.items()},
            "starts with 'module.'",
        ),
        (
            lambda state: {key: value for key, value in state.items() if "blocks.1" not in key},
            "entries are missing",
        ),
        (
            lambda state: state | {"extra": torch.zeros(1)},
            "1 entry does not belong to a PerturbationGenerator, the first is extra",
        ),
        (lambda state: state | {"modulation": torch.zeros(3, 32)}, "modulation has shape"),
    ],
)
def test_weights_that_are_not_a_generator(
    photos, tmp_path, generator_folder, capsys, change, words
):
    weights = damaged(generator_folder, tmp_path, change)
    one_error(capsys, words, photos, "-o", tmp_path / "out", "--weights", weights)


def test_a_truncated_weight_file(photos, tmp_path, generator_folder, capsys):
    weights = damaged(generator_folder, tmp_path, dict)
    file = weights / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    one_error(capsys, "is damaged", photos, "-o", tmp_path / "out", "--weights", weights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 3}, "unknown settings colour"),
        ({"budget": None}, "not a PerturbationGenerator's settings"),
        ({"patch_size": 0}, "must be at least 1"),
    ],
)
def test_a_config_that_is_not_a_generators(
    photos, tmp_path, generator_folder, capsys, change, words
):
    weights = damaged(generator_folder, tmp_path, dict)
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps(config | change))
    one_error(capsys, words, photos, "-o", tmp_path / "out", "--weights", weights)


def test_an_unknown_option(photos, tmp_path, capsys):
    one_error(capsys, "--colour", photos, "-o", tmp_path / "out", "--colour", "3")


def test_help_names_the_verbs(capsys):
    assert run(main, ["--help"]) == 0
    assert "protect" in capsys.readouterr().out
    assert run(main, []) == 2


def test_two_photos_that_would_share_a_name(photos, tmp_path, generator_folder, capsys):
    (photos / "beach.jpg.png").write_bytes((photos / "beach.png").read_bytes())
    one_error(
        capsys,
        "beach.jpg and beach.jpg.png would both be saved as beach.jpg.png",
        photos,
        "-o",
        tmp_path / "out",
        "--weights",
        generator_folder,
    )


def test_an_output_folder_with_other_peoples_files(photos, generator_folder, capsys):
    one_error(
        capsys,
        "lies inside the output folder",
        photos / "holiday",
        "-o",
        photos,
        "--weights",
        generator_folder,
    )


def test_untrained_weights_protect_nothing_and_say_so(photos, tmp_path, capsys):
    from rid.generator import PerturbationGenerator
    from rid.weights import save_generator

    save_generator(
        PerturbationGenerator(image_size=64, width=16, depth=1, heads=2), tmp_path / "untrained"
    )
    assert (
        protect(photos / "holiday", "-o", tmp_path / "out", "--weights", tmp_path / "untrained")
        == 1
    )
    assert "do not change this photo" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.png"))


def test_weights_with_nan(photos, tmp_path, generator_folder, capsys):
    weights = damaged(
        generator_folder,
        tmp_path,
        lambda state: state | {"modulation": torch.full((2, 32), float("nan"))},
    )
    one_error(capsys, "not finite", photos, "-o", tmp_path / "out", "--weights", weights)


def test_phone_formats_are_failures_not_omissions(photos, tmp_path, generator_folder, capsys):
    (photos / "phone.HEIC").write_bytes(b"anything")
    assert protect(photos, "-o", tmp_path / "out", "--weights", generator_folder) == 1
    assert "phone.HEIC: not a valid image file" in capsys.readouterr().err


def test_a_colour_profile_goes_along(photos, tmp_path, generator_folder):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.open(photos / "beach.png").save(photos / "profiled.png", icc_profile=profile)
    protect(photos, "-o", tmp_path / "out", "--weights", generator_folder)
    with Image.open(tmp_path / "out" / "profiled.png") as after:
        assert after.info["icc_profile"] == profile


def test_protecting_twice_is_refused_by_name_and_never_adds_up(
    photos, tmp_path, generator_folder, capsys
):
    assert (
        protect(
            photos / "holiday",
            photos / "beach.jpg",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
        )
        == 0
    )
    capsys.readouterr()
    assert protect(tmp_path / "out", "-o", tmp_path / "again", "--weights", generator_folder) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 2
    assert all("changed by this project before (protect)" in line for line in errors)
    assert not list((tmp_path / "again").rglob("*.png"))
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 0, "failed": 2, "skipped": 3}, (
        "its own records are no images"
    )


def test_a_strip_of_more_windows_than_the_limit_is_refused_by_name_before_they_are_cut(
    photos, tmp_path, generator_folder, capsys
):
    Image.new("RGB", (60_000, 1), "red").save(photos / "strip.png")
    assert (
        protect(
            photos / "strip.png",
            photos / "beach.png",
            "-o",
            tmp_path / "out",
            "--weights",
            generator_folder,
        )
        == 1
    )
    error = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("error"))
    assert "strip.png: 60000 by 1 pixels would take" in error
    assert (tmp_path / "out" / "beach.png").is_file()


def test_the_same_command_again_says_that_all_is_done(photos, tmp_path, generator_folder, capsys):
    arguments = [photos / "holiday", "-o", tmp_path / "out", "--weights", generator_folder]
    assert protect(*arguments) == 0
    before = (tmp_path / "out" / "tall.png").stat().st_mtime_ns
    capsys.readouterr()
    assert protect(*arguments) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (tmp_path / "out" / "tall.png").stat().st_mtime_ns == before


def test_a_folder_that_was_claimed_and_no_more_goes_on(photos, tmp_path, generator_folder):
    arguments = [photos / "holiday", "-o", tmp_path / "out", "--weights", generator_folder]
    protect(*arguments)
    for name in ("journal.jsonl", "protected.csv", "tall.png"):
        (tmp_path / "out" / name).unlink()
    assert protect(*arguments) == 0
    assert (tmp_path / "out" / "tall.png").is_file()


def test_a_photo_that_was_replaced_under_its_name_is_protected_anew(
    photos, tmp_path, generator_folder
):
    arguments = [photos / "holiday", "-o", tmp_path / "out", "--weights", generator_folder]
    protect(*arguments)
    before = (tmp_path / "out" / "tall.png").read_bytes()
    Image.new("RGB", (33, 200), "gray").save(photos / "holiday" / "tall.webp")
    assert protect(*arguments) == 0
    assert (tmp_path / "out" / "tall.png").read_bytes() != before


def test_a_result_that_gets_another_name_is_moved(photos, tmp_path, generator_folder):
    """Its name is that of the photo's stem until another photo has the same stem."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    written = []
    for change in (
        lambda: (photos / "beach.png").rename(folder / "x.png"),
        lambda: (photos / "beach.jpg").rename(folder / "x.jpg"),
        lambda: (folder / "x.jpg").unlink(),
    ):
        change()
        assert protect(folder, "-o", out, "--weights", generator_folder) == 0
        written.append(sorted(path.name for path in out.glob("*.png")))
    assert written == [
        ["x.png"],
        ["x.jpg.png", "x.png.png"],
        ["x.jpg.png", "x.png"],  # a note says that x.jpg is no longer given
    ]
