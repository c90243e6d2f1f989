"""Metrics with downloaded weights, on small random ones, and errors for missing weights."""

import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

import eval.metrics.extra
from engine.cli import run
from eval.__main__ import main
from eval.metrics.catalog import CATALOG
from eval.metrics.denoising import denoising_errors
from eval.metrics.extra import PERSON_METRICS, SET_METRICS, ExtraMetrics, MetricWeights
from eval.reports.protection_table import METRICS
from models.clip import ClipMetrics
from models.faces.face_net import FaceNet
from tiny.dataset import PortraitDataset
from tiny.diffusion import build_tokenizer

PROMPTS = ["photo of a person"] * 8


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    tokenizer = build_tokenizer(
        [item["caption"] for item in PortraitDataset(0, 20, 1).__getitems__(list(range(20)))]
    )
    torch.manual_seed(0)
    common = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 8,
    }
    words = {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    text = CLIPTextConfig(
        **common,
        **words,
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=tokenizer.model_max_length,
    )
    vision = CLIPVisionConfig(**common, image_size=32, patch_size=16)
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)
    ).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def faces():
    torch.manual_seed(0)
    return FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).eval()


def test_every_metric_is_described_and_has_a_heading():
    assert {metric.name for metric in CATALOG} == set(METRICS)
    assert set(PERSON_METRICS + SET_METRICS) < set(METRICS)


def test_the_catalog_is_printed(capsys):
    assert run(main, ["metrics"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in METRICS)


def test_clip_scores_are_cosines_and_shares(clip_folder, portraits):
    clip = ClipMetrics(clip_folder)
    same = clip.score(portraits[:1].expand(3, -1, -1, -1), "photo of a person")
    assert torch.allclose(same, same[0].expand(3))
    assert (clip.score(portraits, "photo of a person") <= 100).all()
    text, picture = clip.embed_texts(["photo of a person"])[0], clip.embed_images(portraits)
    assert torch.allclose(
        clip.score(portraits, "photo of a person"), (100 * picture @ text).clamp(min=0)
    )
    quality = clip.quality(portraits)
    good, bad = clip.embed_texts(["Good photo.", "Bad photo."])
    assert torch.allclose(quality, torch.sigmoid(100 * picture @ (good - bad)), atol=1e-5)


def test_metrics_of_a_person(clip_folder, faces, portraits):
    extra = ExtraMetrics(
        ["clip_iqa", "clip_score", "ser_fiq", "ms_ssim"], MetricWeights(clip=clip_folder), faces, ""
    )
    found = extra.person_metrics(portraits, PROMPTS, portraits, portraits)
    assert set(found) == {"clip_iqa", "clip_score", "ser_fiq", "ms_ssim"}
    assert 0 <= found["clip_iqa"] <= 1
    assert 0 < found["ser_fiq"] < 1
    assert torch.tensor(found["ms_ssim"]).isnan()  # 64 pixels are too few for its scales
    large = torch.nn.functional.interpolate(portraits, 192)
    changed = (large + 0.05).clamp(0, 1)
    expected = multiscale_structural_similarity_index_measure(changed, large, data_range=1.0)
    assert extra.person_metrics(portraits, PROMPTS, changed, large)["ms_ssim"] == pytest.approx(
        float(expected)
    )


def test_denoising_error_is_that_of_the_attacked_pipeline(faces, portraits, pipelines):
    extra = ExtraMetrics(["denoising_error"], MetricWeights(), faces, pipelines[0])
    noise = torch.rand(portraits.shape, generator=torch.Generator().manual_seed(0))
    found = [
        extra.person_metrics(portraits, PROMPTS, shown, portraits)["denoising_error"]
        for shown in (portraits, portraits, noise)
    ]
    losses = [
        extra.ensemble.denoising_loss(portraits, torch.Generator().manual_seed(draw))
        for draw in range(8)
    ]
    assert found[0] == found[1] == pytest.approx(float(torch.stack(losses).mean()))
    of_images = denoising_errors(extra.ensemble, portraits)
    assert torch.equal(of_images, torch.stack(losses).mean(dim=0))
    assert found[2] != found[0]


def test_no_face_has_no_face_quality(portraits):
    blind = FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=2.0).eval()
    found = ExtraMetrics(["ser_fiq"], MetricWeights(), blind, "").person_metrics(
        portraits, PROMPTS, portraits, portraits
    )
    assert torch.tensor(found["ser_fiq"]).isnan()


def test_sets_are_compared_with_a_warning_when_they_are_few(faces, portraits, monkeypatch):
    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, images):
            return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)

    real = eval.metrics.extra.FrechetInceptionDistance
    monkeypatch.setattr(
        eval.metrics.extra,
        "FrechetInceptionDistance",
        lambda normalize, **_: real(feature=Flat(), normalize=normalize),
    )
    extra = ExtraMetrics(["fid"], MetricWeights(), faces, "")
    with pytest.warns(UserWarning, match="FID over 8 images is biased"):
        assert extra.set_metrics(portraits, portraits)["fid"] == pytest.approx(0, abs=1e-3)
    with pytest.warns(UserWarning, match="biased"):
        assert extra.set_metrics(1 - portraits, portraits)["fid"] > 0.1


def test_unknown_metrics_and_backends_without_dropout_are_refused(faces):
    with pytest.raises(ValueError, match="unknown metric beauty; extra_metrics may name ser_fiq"):
        ExtraMetrics(["beauty"], MetricWeights(), faces, "")
    with pytest.raises(ValueError, match="ser_fiq needs a face network with dropout"):
        ExtraMetrics(["ser_fiq"], MetricWeights(), lambda images: faces(images), "")


def test_missing_weights_are_an_error_that_says_what_to_do(faces, portraits, tmp_path, monkeypatch):
    extra = ExtraMetrics(
        ["fid", "lpips", "clip_iqa"],
        MetricWeights(clip=str(tmp_path / "none"), inception=str(tmp_path / "none.pth")),
        faces,
        "",
    )
    with (
        pytest.warns(UserWarning, match="FID over 8 images is biased"),
        pytest.raises(FileNotFoundError, match=r"--metric_weights\.inception FILE"),
    ):
        extra.set_metrics(portraits, portraits)
    with pytest.raises(FileNotFoundError, match="no model at"):
        extra.person_metrics(portraits, PROMPTS, portraits, portraits)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda *arguments, **named: (_ for _ in ()).throw(OSError("no connection")),
    )
    with pytest.raises(FileNotFoundError, match="alexnet-owt"):
        ExtraMetrics(["lpips"], MetricWeights(), faces, "").person_metrics(
            portraits, PROMPTS, portraits, portraits
        )
