"""Edits of image tensors."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from images.io import to_rgb
from images.transforms import codecs
from images.transforms.differentiable import (
    center_crop_resize,
    exact_jpeg,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    random_edits,
    resize,
    round_levels,
    scale_round_trip,
)


def test_the_imitated_jpeg_is_near_the_real_one(portraits):
    coded = jpeg(portraits, 75)
    for image, imitation in zip(portraits, coded, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(to_rgb(image)).save(buffer, "JPEG", quality=75)
        real = torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1) / 255
        assert (imitation - real).abs().mean() < 0.5 * (real - image).abs().mean()


def test_sides_need_not_fit_the_blocks():
    assert jpeg(torch.rand(1, 3, 50, 65), 60).shape == (1, 3, 50, 65)


def test_rounding_keeps_the_gradient():
    images = torch.rand(1, 3, 4, 4, requires_grad=True)
    output = round_levels(images)
    assert torch.equal((output * 255).round(), (images * 255).round())
    assert torch.allclose(output * 255, (output * 255).round(), atol=1e-4)
    output.sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


@pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
def test_the_exact_jpeg_has_the_file_s_values_and_the_imitation_s_gradient(portraits, chroma):
    expected = codecs.jpeg(to_rgb(portraits[0]), 60, chroma)
    exact = exact_jpeg(portraits, 60, chroma)
    assert np.array_equal(to_rgb(exact[0]), expected)
    gradients = []
    for edit in (
        lambda images: exact_jpeg(images, 60, chroma),
        lambda images: jpeg(images, 60).clamp(0, 1),
    ):
        images = portraits.clone().requires_grad_()
        coded = edit(images)
        coded.sum().backward()
        gradients.append(images.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    "edit",
    [
        lambda images: gaussian_blur(images, 1.5),
        lambda images: scale_round_trip(images, 0.4),
        lambda images: center_crop_resize(images, 0.7),
        lambda images: gaussian_noise(images, 0.1, torch.Generator().manual_seed(0)),
    ],
    ids=["blur", "scale", "crop", "noise"],
)
def test_edits_change_images_keep_their_size_and_let_gradients_through(edit, portraits):
    images = portraits[:2, :, :50].clone().requires_grad_()
    edited = edit(images)
    assert edited.shape == images.shape
    assert not torch.equal(edited, images)
    edited.square().sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 50)])
def test_a_blur_wider_than_the_image(shape):
    assert gaussian_blur(torch.rand(1, 3, *shape), 20).shape == (1, 3, *shape)


def test_an_image_of_the_size_stays_as_it_is():
    images = torch.rand(1, 3, 9, 7)
    assert resize(images, 9, 7, "bicubic") is images
    assert torch.equal(scale_round_trip(images, 1.0), images)
    assert resize(images, 20, 31, "bicubic").min() >= 0


def test_few_levels():
    assert round_levels(torch.tensor([0.0, 0.4, 0.6, 1.0]), 1).tolist() == [0, 0, 1, 1]


def test_random_edits_repeat_by_seed_and_keep_the_size(portraits):
    edits = random_edits()
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(edits(portraits))
    assert torch.equal(*drawn)
    assert drawn[0].shape == portraits.shape
    assert not torch.equal(drawn[0], portraits)
