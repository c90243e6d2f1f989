import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics.identity import IdentityPreservation, mean_embedding
from models.faces.backends import load_faces
from models.faces.face_net import FaceNet, Faces


def backend(images: torch.Tensor) -> Faces:
    """A picture has a face where its red is above one half; who it is stands in green and blue."""
    found = images[:, 0].mean(dim=(1, 2)) > 0.5
    return Faces(
        found,
        found.float(),
        torch.zeros(len(images), 4),
        F.normalize(images[:, 1:].mean(dim=(2, 3)), dim=1),
    )


def pictures(*rows):
    return torch.tensor(rows, dtype=torch.float32).view(-1, 3, 1, 1).expand(-1, -1, 4, 4)


def test_faces_only_and_all_pictures():
    metric = IdentityPreservation(backend)
    metric.update(
        pictures((1, 1, 0), (1, 0, 1), (0, 1, 0)), pictures((1, 1, 0), (1, 1, 0), (0, 0, 1))
    )
    value = metric.compute()
    assert value["ism"].item() == pytest.approx(0.5)
    assert value["ism_all"].item() == pytest.approx(1 / 3)
    assert value["fdfr"].item() == pytest.approx(1 / 3)


def test_no_face_at_all_is_full_protection_not_a_gap():
    metric = IdentityPreservation(backend)
    metric.update(pictures((0, 1, 0), (0, 1, 0)), pictures((1, 1, 0)))
    value = metric.compute()
    assert value["ism"].isnan()
    assert value["ism_all"] == 0
    assert value["fdfr"] == 1


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.1, 1), st.floats(0.1, 1)), min_size=2, max_size=8
    ),
    st.data(),
)
def test_two_updates_equal_one(rows, data):
    images = pictures(*[(float(face), green, blue) for face, green, blue in rows])
    reference = pictures((1, 0.3, 0.9))
    cut = data.draw(st.integers(1, len(rows) - 1))
    whole, parts = IdentityPreservation(backend), IdentityPreservation(backend)
    whole.update(images, reference)
    parts.update(images[:cut], reference)
    parts.update(images[cut:], reference)
    for a, b in zip(whole.compute().values(), parts.compute().values(), strict=True):
        assert torch.allclose(a, b, equal_nan=True)


def test_a_reference_without_a_face_is_an_error():
    with pytest.raises(ValueError, match="no face found in any of 2 reference images"):
        IdentityPreservation(backend).update(pictures((1, 1, 0)), pictures((0, 1, 0), (0, 0, 1)))


def test_the_reference_is_averaged_over_unit_embeddings():
    center = mean_embedding(backend(pictures((1, 0.1, 0), (1, 0, 9.0))))
    assert torch.allclose(center, torch.tensor([0.5, 0.5]).sqrt())


def test_a_face_network_survives_saving(tmp_path):
    network = FaceNet(channels=(8, 8, 8, 8), embedding=16, threshold=0.3).eval()
    network.half().save_pretrained(tmp_path)
    opened = load_faces(str(tmp_path))
    assert opened.threshold == 0.3
    faces = opened(torch.rand(2, 3, 48, 80))
    assert faces.embeddings.shape == (2, 16)
    assert torch.allclose(faces.embeddings.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_folder_that_is_no_face_network(tmp_path, generator_folder):
    with pytest.raises(ValueError, match="not a FaceNet"):
        load_faces(str(generator_folder))
