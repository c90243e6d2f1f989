"""Edits of image tensors."""

import torch

from images.transforms.differentiable import resize_center_crop


def test_the_square_in_the_middle_of_a_tensor():
    image = torch.rand(3, 40, 60)
    assert torch.equal(resize_center_crop(image, 40), image[:, :, 10:50])
    assert resize_center_crop(image, 16).shape == (3, 16, 16)
    assert resize_center_crop(image, 64).shape == (3, 64, 64)
    tilted = image.clone().requires_grad_()
    resize_center_crop(tilted, 16).sum().backward()
    assert tilted.grad is not None
    assert tilted.grad.abs().sum() > 0
