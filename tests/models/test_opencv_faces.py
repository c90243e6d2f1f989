"""OpenCV backend on a photograph of an installed package, if the models are present."""

import os
from pathlib import Path

import pytest
import torch

from eval.metrics.identity import IdentityPreservation
from models.faces.backends import load_faces
from models.faces.opencv import OpenCVFaces

FOLDER = Path(
    os.environ.get("FACE_MODELS", Path(__file__).parents[3] / "shared" / "weights" / "yunet")
)
needs_models = pytest.mark.skipif(
    not list(FOLDER.glob("*yunet*.onnx")),
    reason="no yunet .onnx file; name its folder in FACE_MODELS",
)


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data")
    return torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1).float().div(255).unsqueeze(0)


@needs_models
def test_a_photograph_has_one_face_where_it_is(astronaut):
    faces = load_faces(str(FOLDER))
    seen = faces(torch.cat([astronaut, torch.rand_like(astronaut)]))
    assert seen.detected.tolist() == [True, False]
    assert seen.score[0] > 0.9
    assert torch.allclose(seen.boxes[0], torch.tensor([0.437, 0.236, 0.178, 0.218]), atol=0.03)


@needs_models
def test_a_small_picture_is_enlarged_first(astronaut):
    small = torch.nn.functional.interpolate(astronaut, (96, 96), mode="bilinear", antialias=True)
    assert load_faces(str(FOLDER))(small).detected.all()


@needs_models
def test_without_a_recogniser_ism_is_not_a_number_but_fdfr_is(astronaut):
    metric = IdentityPreservation(OpenCVFaces(next(FOLDER.glob("*yunet*.onnx"))))
    metric.update(torch.cat([astronaut, torch.zeros_like(astronaut)]), astronaut)
    measured = metric.compute()
    assert measured["fdfr"] == 0.5
    assert measured["ism"].isnan()
    assert measured["ism_all"].isnan()


def test_a_missing_or_broken_model_is_told_and_never_a_picture_without_a_face(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"yunet\.onnx: no such face model"):
        OpenCVFaces(tmp_path / "yunet.onnx")
    (tmp_path / "yunet.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match="cannot read the face models"):
        load_faces(str(tmp_path))
    (tmp_path / "yunet.onnx").unlink()
    with pytest.raises(ValueError, match="expected a face network"):
        load_faces(str(tmp_path))
