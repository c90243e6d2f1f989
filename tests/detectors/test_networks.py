"""Networks: shapes, agreement with numpy and scipy, frozen parts, receptive fields."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from scipy.ndimage import correlate

from detectors.networks import (
    NETWORKS,
    DCTClassifier,
    LinearProbe,
    PatchClassifier,
    ResidualClassifier,
    TimmClassifier,
)
from detectors.networks.frequency import dct_matrix
from detectors.networks.patches import local_logits
from detectors.networks.residuals import haar_hh, npr, srm_filters

SMALL = {
    "timm": {"name": "resnet10t"},
    "frozen_linear": {"name": "vit_tiny_patch16_224", "size": 64},
    "lora": {"name": "vit_tiny_patch16_224", "size": 64, "rank": 2},
    "intermediate": {"name": "vit_tiny_patch16_224", "size": 64, "width": 16},
    "npr": {},
    "dct": {"size": 64},
    "residual": {"kind": "dwt"},
    "spectral": {"name": "vit_tiny_patch16_224", "size": 64, "width": 16, "attention": 24},
    "patches": {"width": 8, "depths": (1, 1, 1, 1)},
    "tiny_patches": {},
}


@pytest.mark.parametrize(
    "name", [name for name, kind in NETWORKS.items() if not hasattr(kind, "without_head")]
)
def test_pictures_in_one_logit_each_out_and_gradients_to_what_is_trained(name):
    torch.manual_seed(0)
    network = NETWORKS[name](**SMALL[name]).train()
    logits = network(torch.rand(3, 3, 64, 64))
    assert logits.shape == (3,)
    logits.sum().backward()
    assert all(
        (parameter.grad is not None) == parameter.requires_grad
        for parameter in network.parameters()
    )


def test_npr_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    found = npr(image)[0, 0]
    expected = torch.tensor([[0.0, 1, 0, 1], [4, 5, 4, 5], [0, 1, 0, 1], [4, 5, 4, 5]]) * 2 / 3
    assert torch.allclose(found, expected)
    assert npr(torch.rand(1, 3, 5, 7)).shape == (1, 3, 4, 6), "an odd row or column is left out"


def test_srm_filters_sum_to_zero_and_kill_planes():
    filters = srm_filters()
    assert filters.shape == (3, 1, 5, 5)
    assert filters.sum(dim=(1, 2, 3)).abs().max() < 1e-6
    ramp = torch.arange(9.0).view(1, 1, 1, 9).expand(1, 1, 9, 9)
    assert torch.nn.functional.conv2d(ramp, filters).abs().max() < 1e-5
    assert np.allclose(filters[1, 0, 1:4, 1:4].numpy() * 4, [[-1, 2, -1], [2, -4, 2], [-1, 2, -1]])
    seen = ResidualClassifier("srm").residual(torch.rand(2, 3, 16, 16))
    assert seen.shape == (2, 9, 16, 16)
    assert seen.abs().max() <= 1


def test_the_residual_against_scipy():
    images = torch.rand(1, 3, 12, 10)
    seen = ResidualClassifier("srm").residual(images)[0]
    for channel in range(3):
        levels = images[0, channel].double().numpy() * 255
        for number, kernel in enumerate(srm_filters()[:, 0].double().numpy()):
            expected = correlate(levels, kernel, mode="mirror").clip(-3, 3) / 3
            assert np.allclose(seen[3 * channel + number].numpy(), expected, atol=1e-4)


def test_the_diagonal_band_against_numpy():
    images = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    x = images[0, 0].numpy()
    rows = (x[:, 1::2] - x[:, ::2]) / np.sqrt(2)
    expected = (rows[1::2] - rows[::2]) / np.sqrt(2)
    assert np.allclose(haar_hh(images)[0, 0].numpy(), expected)


def test_dct_against_scipy():
    x = torch.rand(16, 16, dtype=torch.float32)
    matrix = dct_matrix(16)
    assert np.allclose((matrix @ x @ matrix.T).numpy(), dctn(x.numpy(), norm="ortho"), atol=1e-5)
    network = DCTClassifier(16, "linear")
    image = torch.rand(1, 3, 16, 16)
    expected = np.log(np.abs(dctn(image[0, 1].numpy() * 255, norm="ortho")) + 1e-6)
    assert np.allclose(network.spectrum(image)[0, 1].numpy(), expected, atol=0.02)
    with pytest.raises(ValueError, match="takes 16x16 images, got 8x8"):
        network(torch.rand(1, 3, 8, 8))


def test_spectra_are_standardised_by_training_pictures_and_the_figures_are_saved():
    network = DCTClassifier(16)
    batches = [torch.rand(32, 3, 16, 16) for _ in range(3)]
    network.prepare(batches)
    standard = (network.spectrum(torch.cat(batches)) - network.mean) / network.std
    assert standard.mean(dim=0).abs().max() < 1e-4
    assert (standard.std(dim=0) - 1).abs().max() < 1e-3
    assert {"mean", "std"} <= set(network.state_dict())


def test_frozen_parts_do_not_move_even_in_their_statistics():
    network = TimmClassifier("resnet10t", frozen_stages=2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.rand(4, 3, 64, 64)).sum().backward()
    optimizer.step()
    moved = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert any(name.startswith("network.layer3") for name in moved)
    assert not any(
        name.startswith(("network.conv1", "network.bn1", "network.layer1", "network.layer2"))
        for name in moved
    )
    frozen = LinearProbe("vit_tiny_patch16_224", size=64).train()
    assert not frozen.backbone.training
    assert [name for name, p in frozen.named_parameters() if p.requires_grad] == [
        "linear.weight",
        "linear.bias",
    ]


def test_a_patch_sees_nine_pixels():
    torch.manual_seed(0)
    network = PatchClassifier(8, (2, 2, 2, 1)).eval()
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    network.patch_logits(image)[0, 8, 8].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    assert int(rows.max() - rows.min()) + 1 <= 10, (
        "nine, and one more that the pixel relations reach back to"
    )
    assert int(columns.max() - columns.min()) + 1 <= 10


def test_every_network_has_a_logit_of_every_pixel():
    images = torch.rand(2, 3, 32, 32)
    patches = NETWORKS["tiny_patches"]().eval()
    local = local_logits(patches, images)
    assert local.shape == (2, 32, 32)
    assert local.std() > 0
    whole = NETWORKS["npr"]().eval()
    local = local_logits(whole, images)
    assert torch.equal(local, whole(images).view(2, 1, 1).expand(2, 32, 32))
    assert sum(p.numel() for p in patches.parameters()) < 1400


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TimmClassifier("resnet5000"), "timm has no network 'resnet5000'"),
        (
            lambda: TimmClassifier("resnet10t", frozen_stages=9),
            "resnet10t has 4 stages that can be frozen",
        ),
        (lambda: ResidualClassifier("sobel"), "kind is srm or dwt"),
        (lambda: DCTClassifier(8, "svm"), "kind is linear or cnn"),
    ],
)
def test_mistakes_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_resnet_is_torchvisions_to_the_bit():
    import torchvision

    from detectors.networks.resnet import ResNet50

    networks, draws = [], []
    for build in (lambda: torchvision.models.resnet50(weights=None), ResNet50):
        torch.manual_seed(3)
        networks.append(build().eval())
        draws.append(torch.rand(1))
    theirs, ours = (network.state_dict() for network in networks)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(*draws)
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(networks[1](images), networks[0](images))
