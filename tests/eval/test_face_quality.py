"""SER-FIQ against values computed by hand."""

import math

import pytest
import torch

from eval.metrics.face_quality import ser_fiq


def test_equal_embeddings_give_the_best_score():
    best = 1 / (1 + math.exp(-130 * (1 - 0.88)))
    assert ser_fiq(torch.ones(5, 2, 3)).tolist() == pytest.approx([best, best])


def test_a_hand_computed_case():
    embeddings = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[-3.0, 0.0]]])
    distance = (2 * math.sqrt(2) + 2) / 3
    quality = 2 / (1 + math.exp(distance))
    expected = 1 / (1 + math.exp(-130 * (quality - 0.88)))
    assert ser_fiq(embeddings.double()).item() == pytest.approx(expected)


def test_faces_do_not_mix():
    source = torch.Generator().manual_seed(0)
    steady = torch.ones(10, 1, 8) + 0.01 * torch.randn(10, 1, 8, generator=source)
    shaken = torch.randn(10, 1, 8, generator=source)
    scores = ser_fiq(torch.cat([steady, shaken], dim=1))
    assert scores[0] > 0.9
    assert scores[1] < 0.01


def test_one_pass_is_refused():
    with pytest.raises(ValueError, match="at least two passes"):
        ser_fiq(torch.ones(1, 2, 3))
