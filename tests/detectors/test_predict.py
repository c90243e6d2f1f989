"""Predictions from Python, equal to those of ``scan``."""

import numpy as np
import pytest
from PIL import Image

from detectors import Detector
from detectors.scan import scan

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
