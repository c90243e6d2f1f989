"""Predictions from Python, equal to those of ``scan``."""

import numpy as np
import pytest
from PIL import Image

from detectors import Detector
from detectors.scan import scan
from images.photo import ON_WHITE

DETECTOR = "checkpoints/tiny/detector"


@pytest.fixture(scope="module")
def detector():
    return Detector.from_pretrained(DETECTOR)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (70 + number, 90, 3), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
    return sorted(folder.iterdir())


def test_python_and_the_command_agree(detector, files, tmp_path):
    findings = scan([files[0].parent], tmp_path / "s.csv", [DETECTOR]).findings
    predicted = detector.predict(files)
    assert [one.name for one in predicted] == [str(file) for file in files]
    for one, finding in zip(predicted, findings, strict=True):
        assert (one.verdict, one.probability, one.logit) == (
            finding.verdict,
            finding.probability,
            finding.logit,
        )


def test_pillow_and_tensors_are_judged_as_their_files(detector, files):
    first = detector.predict(files[0])[0]
    opened = detector.predict(Image.open(files[0]))[0]
    assert (opened.name, opened.probability) == ("image 1", first.probability)
    assert detector.predict([]) == []


def test_many_images_are_judged_in_parts(detector, files):
    alone = detector.predict(files[0])[0]
    many = detector.predict([files[0]] * 20)
    assert len(many) == 20
    assert many[-1].probability == pytest.approx(alone.probability, abs=1e-6)


def test_transparent_parts_are_judged_on_white(detector, files, tmp_path):
    folder = tmp_path / "glass"
    folder.mkdir()
    image = Image.open(files[0]).convert("RGBA")
    image.save(folder / "opaque.png")
    alpha = np.random.default_rng(1).integers(0, 256, image.size[::-1], dtype=np.uint8)
    image.putalpha(Image.fromarray(alpha))
    image.save(folder / "seen.png")
    image.putalpha(0)
    image.save(folder / "unseen.png")
    white = Image.fromarray(np.full((*image.size[::-1], 3), 255, np.uint8))
    found = {one.file: one for one in scan([folder], tmp_path / "s.csv", [DETECTOR]).findings}
    logits = {name: one.logit for name, one in found.items()}
    assert logits["opaque.png"] == pytest.approx(detector.predict(files[0])[0].logit, abs=1e-4)
    assert logits["unseen.png"] == pytest.approx(detector.predict(white)[0].logit, abs=1e-4)
    assert len({round(logit, 4) for logit in logits.values()}) == 3
    assert {name for name, one in found.items() if ON_WHITE in one.notes} == {
        "seen.png",
        "unseen.png",
    }
    for name, logit in logits.items():
        assert detector.predict(folder / name)[0].logit == pytest.approx(logit, abs=1e-4)
