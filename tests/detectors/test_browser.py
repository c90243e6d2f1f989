"""Exported detectors: the file, and the page in a real browser against ``scan``."""

from itertools import product

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.calibration_record import DomainData
from detectors.crop_rule import CropRule
from detectors.detector import Detector
from detectors.domain import Domain
from detectors.export import open_exportable
from detectors.operating_points import OperatingPoint
from engine.onnx_files import run_onnx
from engine.tables import read_table
from images.transforms.views import View
from tests.engine.browser_pages import INSTALLED, odd_photos, photo, serving
from tests.eval.conftest import browser, visit
from tests.eval.pages import readable

__all__ = ["browser", "visit"]

pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
pytest.importorskip("onnxscript", reason="needs requirements-onnx.txt")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A random small detector whose P spreads, with thresholds and a guard, and its folder."""
    torch.manual_seed(0)
    detector = Detector("tiny_patches", view=View("resize_crop", size=24, resize=32)).eval()
    photos = [photo(30 + number, 40, number) for number in range(120)]
    views = [detector.view_of(np.asarray(one)) for one in photos]
    factors = np.array([detector.view.factor((one.height, one.width)) for one in photos])
    logits, features = detector.logits_and_features_of(views)
    middle, spread = np.median(logits), np.std(logits)
    labels = (np.array(logits) > middle).astype(np.int64)
    units = np.array([str(number) for number in range(120)])
    detector.domain = Domain.fit(features, labels, units, factors=factors)
    scale = 2 / spread
    detector.calibration = Calibration(
        scale,
        -scale * middle,
        images=120,
        points=(OperatingPoint(0.05, middle - 0.2 * spread, middle + 0.2 * spread),),
        domain=DomainData(0.05, 60, 60, ""),
    )
    folder = tmp_path_factory.mktemp("detector")
    detector.save_pretrained(folder)
    return detector, folder


@pytest.fixture(scope="module")
def page_folder(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "page"
    assert main(["export", str(detector[1]), "-o", str(folder), "--quiet"]) == 0
    return folder


def judged_here(page, files, said):
    page.locator("#photos").set_input_files([str(file) for file in files])
    page.get_by_text(said).wait_for(timeout=120_000)


def views_differ(page):
    """Sizes of images whose view in the browser is another than the detector's."""
    found = []
    for policy, interpolation in product(
        ("crop", "tile_crop", "resize_crop"), ("bicubic", "bilinear")
    ):
        settings = {"policy": policy, "size": 24, "resize": 40, "interpolation": interpolation}
        for number, (height, width) in enumerate(((20, 31), (7, 300), (90, 41), (24, 24))):
            rgb = np.asarray(photo(height, width, number))
            read = View(**settings).read((height, width), lambda rows, rgb=rgb: rgb[:rows], None)
            made = page.evaluate(
                "async ([rgb, width, height, settings]) => { const { view } = await "
                "import('./view.js'); return [...view({ rgb: Uint8ClampedArray.from(rgb), width, "
                "height }, settings)]; }",
                [rgb.flatten().tolist(), width, height, settings],
            )
            if made != read.flatten().tolist():
                found.append((height, width, settings))
    return found


@INSTALLED
def test_it_equals_scan_sends_nothing_and_works_offline(visit, detector, page_folder, tmp_path):
    files = odd_photos(tmp_path / "photos")
    command = ["scan", str(tmp_path / "photos"), "-o", str(tmp_path / "here.csv")]
    assert main([*command, "--weights", str(detector[1]), "--quiet", "--workers", "0"]) == 0
    here = {row["file"]: row for row in read_table(tmp_path / "here.csv")}
    (tmp_path / "words.jpg").write_text("not a photo")
    ghost = photo(64, 64).convert("RGBA")
    ghost.putalpha(128)
    ghost.save(tmp_path / "ghost.png")
    odd = [*files, tmp_path / "words.jpg", tmp_path / "ghost.png"]
    page = visit()
    with serving(page_folder) as (address, asked):
        page.goto(address)
        page.get_by_text("works without a network").wait_for()
        page.wait_for_function("crossOriginIsolated")
        before = len(asked)
        judged_here(page, odd, "12 of 14 photos judged, 2 not.")
        assert not any(file.stem.split()[0] in path for file in odd for path in asked[before:])
    assert page.get_by_text("use python -m detectors scan").count() == 1
    assert page.get_by_text("this browser cannot read it").count() == 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the verdicts").click()
    download.value.save_as(tmp_path / "there.csv")
    there = {row["file"]: row for row in read_table(tmp_path / "there.csv")}
    assert set(here) == set(there) == {file.name for file in files}
    probabilities = [float(row["probability"]) for row in here.values()]
    assert np.ptp(probabilities) > 0.2, "photos on both sides"
    for name, row in here.items():
        assert abs(float(row["probability"]) - float(there[name]["probability"])) < 1e-3, name
        assert [row[key] for key in ("verdict", "reason", "width", "height")] == [
            there[name][key] for key in ("verdict", "reason", "width", "height")
        ]
    assert views_differ(page) == []
    assert page.get_by_text("with a probability of at most 5 %").count() == 2
    for scheme, width in product(("light", "dark"), (1400, 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        readable(page)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
        assert [rule["id"] for rule in found] == []
    page.reload()  # the server is gone
    judged_here(page, files[:1], "1 of 1 photos judged.")


@INSTALLED
def test_a_file_computes_what_the_detector_computes(detector, page_folder):
    view = detector[0].view_of(np.asarray(photo(50, 60, 3)))
    [output] = detector[0].outputs_of([view])
    logits, distances = run_onnx(page_folder / "network.onnx.0", view[None].float() / 255)
    np.testing.assert_allclose(logits, [output.logit], rtol=1e-4)
    np.testing.assert_allclose(distances, [output.distances], rtol=1e-3)


def test_what_a_page_could_not_repeat_is_refused(tmp_path, capsys):
    def saved(name, **settings):
        detector = Detector("tiny_patches", view=View("crop", 24, 24, **settings))
        detector.save_pretrained(tmp_path / name)
        return detector, str(tmp_path / name)

    _, weights = saved("random", blur=0.5)
    with pytest.raises(ValueError, match="its view is random"):
        open_exportable(weights)
    detector, weights = saved("tiles")
    points = (OperatingPoint(0.05, -1.0, 1.0),)
    detector.calibration = Calibration(images=9, points=points, crops=CropRule("five"))
    detector.save_pretrained(weights)
    with pytest.raises(ValueError, match="calibrated with --crops five"):
        open_exportable(weights)
    with pytest.raises(ValueError, match="exists already"):
        main(["export", weights, "-o", str(tmp_path)])
