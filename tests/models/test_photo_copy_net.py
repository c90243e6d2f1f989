"""The copy-detection network for photographs, and EfficientNet-Lite0 below it."""

import pytest
import timm
import torch

from models.lite_net import LiteNet
from models.photo_copy_net import PhotoCopyNet
from models.preprocessing import normalize


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PhotoCopyNet(image_size=64, descriptor=16).eval()


@pytest.mark.parametrize("size", [(64, 64), (45, 71)])
def test_its_body_is_timms_efficientnet_lite0(network, size):
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0, global_pool="").eval()
    theirs.load_state_dict(network.trunk.state_dict())
    views = torch.randn(2, 3, *size)
    with torch.inference_mode():
        maps = theirs(views).clamp(min=1e-6)
        pooled = maps.pow(3).mean(dim=(2, 3)).pow(1 / 3)
        torch.testing.assert_close(network.trunk(views), pooled, atol=1e-5, rtol=1e-4)


def test_descriptors_are_the_layer_of_the_roots_at_unit_length(network):
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        descriptors = network(normalize(images))
        roots = network.trunk(images * 2 - 1).sqrt()
        expected = roots @ network.project.weight.T + network.project.bias
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(3))
    cosines = torch.cosine_similarity(descriptors, expected)
    torch.testing.assert_close(cosines, torch.ones(3), atol=1e-5, rtol=0)


def test_training_leaves_the_statistics_of_normalization():
    body = LiteNet().train()
    before = {name: value.clone() for name, value in body.named_buffers()}
    body(torch.randn(2, 3, 32, 32))
    for name, value in body.named_buffers():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("side", [0, 1025])
def test_sides_out_of_range_are_refused(side):
    with pytest.raises(ValueError, match="image_size must be 1 to 1024 pixels"):
        PhotoCopyNet(image_size=side)
