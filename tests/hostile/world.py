"""Small inputs of every verb, built once in the working folder of the cases."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.hostile.readers import picture, tar

CPU = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
TRAINER = CPU | {
    "max_steps": 1,
    "logger": False,
    "enable_checkpointing": False,
    "default_root_dir": "run",
}


def build() -> None:
    """Make every part in the current folder; models are untrained."""
    _pictures()
    _models()
    _collection()
    _shards()
    _tables()
    _configs()
    _made_by_verbs()


def _pictures() -> None:
    for name, kind in {
        "a.png": "PNG",
        "b.jpg": "JPEG",
        "deep/c.webp": "WEBP",
        "d.tif": "TIFF",
    }.items():
        Path("photos/deep").mkdir(parents=True, exist_ok=True)
        (Path("photos") / name).write_bytes(picture(kind, (72, 64)))
    Path("photos/notes.md").write_text("not an image")
    Path("photos/s.tar").write_bytes(
        tar(
            {
                f"{n}.{end}": text
                for n in range(3)
                for end, text in (("png", picture("PNG")), ("json", b"{}"))
            }
        )
    )
    Path("list.txt").write_text("photos/a.png\nphotos/deep/c.webp\n")
    Path("captions.txt").write_text("photo of a person\nphoto of nobody\n")
    for first, person in ((0, "ann"), (4, "ben")):
        Path("people", person).mkdir(parents=True)
        for number in range(4):
            content = picture("PNG", (64, 64), first + number)
            Path("people", person, f"{number}.png").write_bytes(content)
        shutil.copytree(Path("people", person), Path("shielded", person))
    rng = np.random.default_rng(0)
    for folder, letter in (("references", "R"), ("train", "T")):
        Path("disc", folder).mkdir(parents=True)
        for number in range(4):
            levels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(levels).save(Path("disc", folder, f"{letter}{number:06d}.png"))
    Path("disc/dev_queries_groundtruth.csv").write_text("query_id,reference_id\nQ0,R000001\nQ1,\n")


def _models() -> None:
    import timm
    import torch

    from detectors.calibration import Calibration
    from detectors.detector import Detector
    from detectors.operating_points import OperatingPoint
    from images.transforms.views import View
    from models.copy_net import CopyNet
    from models.faces.face_net import FaceNet
    from models.image_text_net import ImageTextNet
    from rid.generator import PerturbationGenerator
    from rid.released import to_released
    from rid.weights import save_generator
    from tiny.autoencoder import build_autoencoder
    from tiny.diffusion import build_text_encoder, build_tokenizer, build_unet, pipeline, save_half

    torch.manual_seed(0)
    generator = PerturbationGenerator(
        budget=6.0, image_size=64, patch_size=16, width=16, depth=1, heads=2
    )
    torch.nn.init.normal_(generator.to_pixels.weight, std=2)
    save_generator(generator, Path("rid"))
    Path("released").mkdir()
    torch.save(to_released(generator), "released/ASDS-eps-12_255.bin")
    tokenizer = build_tokenizer(["photo of a person", "photo of nobody"])
    autoencoder = build_autoencoder((8, 8, 16, 16), 4).eval()
    text_encoder = build_text_encoder(tokenizer, 16, 1).eval()
    unet = build_unet(autoencoder.config.latent_channels, 8, (16, 16), 16, head_width=8).eval()
    save_half(pipeline(autoencoder, unet, text_encoder, tokenizer), Path("sd"))
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained("faces")
    view = View("crop", size=32, resize=32)
    detector = Detector("tiny_patches", view=view)
    points = (OperatingPoint(0.05, -0.0226, -0.0024),)
    detector.calibration = Calibration(scale=40.0, bias=0.5, images=100, points=points)
    detector.save_pretrained("detector")
    Detector("frozen_linear", {"name": "test_vit2", "size": 32}, view, view).save_pretrained(
        "frozen"
    )
    network = CopyNet(image_size=32, channels=(8, 8), descriptor=16)
    network.train()(torch.randn(64, 3, 32, 32))
    network.eval().save_pretrained("extractor")
    ImageTextNet(
        ["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=1.0
    ).save_pretrained("embedder")
    backbone = timm.create_model("test_vit2", pretrained=False)
    torch.save(backbone.state_dict(), "released/backbone.pth")
    torch.save(
        {"weight": torch.zeros(1, backbone.num_classes), "bias": torch.zeros(1)},
        "released/head.pth",
    )


def _collection() -> None:
    """Pictures with texture, sentinels among them, a system's answers, and captions."""
    from images.io import save_png
    from images.photo import Photo
    from sentinels.record import Record, Sentinel
    from sentinels.trials import Trials

    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(30, 220, (4, 6, 3), dtype=np.uint8)).resize(
            (120, 80), Image.Resampling.BICUBIC
        )
        save_png(Photo(np.asarray(coarse)), Path("collection") / f"{number % 2}" / f"{number}.png")
    record = Record(Path("sentinels/record.json"))
    system = Trials(Path("answers"))
    for number in range(4):
        shown = np.kron(
            rng.integers(0, 255, (4, 4, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8)
        )
        name = f"{number % 2}/{number}.png"
        save_png(Photo(shown), Path(f"sentinels/images/{number}.png"))
        save_png(Photo(shown), system.folder / "images" / f"{number}_trial_1.png")
        source = str(Path("collection", name).absolute())
        record.sentinels[name] = Sentinel("BCDFG" + "HJKM"[number], source, f"images/{number}.png")
        trial = {
            "trial_number": 1,
            "retrieved_images": [f"images/{number}.png"],
            "final_image": f"images/{number}_trial_1.png",
        }
        system.entries[name] = {"random_key": record.sentinels[name].key, "trials": [trial]}
    record.write()
    system.write()
    rows = [
        {"image_file": f"{number % 2}/{number}.png", "caption": "a red thing"}
        for number in range(4)
    ]
    Path("captions.json").write_text(json.dumps(rows))


def _shards() -> None:
    import torch

    from datamodules.fake2m.origin import Origin
    from datamodules.fake2m.sharding import shard_images
    from datamodules.fake2m.subset_writer import Limits
    from detectors.detector import load_detector
    from images.archives import Member

    detector = load_detector("detector").eval()
    strengths = sorted(
        range(2),
        key=lambda strong: float(detector(torch.rand(8, 3, 32, 32) * (0.05 + 0.9 * strong)).mean()),
    )
    for split, count in (("train", 8), ("val", 6)):
        for name, label in (("photos", 0), ("copies", 1)):
            members = [Member(f"{name}/{n}.png", noise(strengths[label], n)) for n in range(count)]
            origin = Origin(
                split,
                name,
                label,
                generator="copies" if label else None,
                family="gan" if label else "real",
            )
            shard_images(
                members,
                Path("shards"),
                lambda path, origin=origin: origin,
                limits=Limits(samples=4),
            )

    for name, label in (("photos", 0), ("copies", 1)):
        members = [Member(f"{name}/{n}.png", picture("PNG", (16, 16))) for n in range(200)]
        shard_images(
            members, Path("many"), lambda path, name=name, label=label: Origin("val", name, label)
        )


def noise(strong: int, number: int) -> bytes:
    """A picture of weak or of strong noise."""
    levels = np.random.default_rng(number).integers(0, 12 + 230 * strong, (36 + number % 2, 40, 3))
    buffer = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _tables() -> None:
    from detectors.scores import Scores
    from detectors.summary import summarise

    Path("tested").mkdir()
    Path("scores.csv").write_text("label,score\n0,0.1\n0,0.7\n1,0.8\n1,0.9\n")
    Path("tested/summary.json").write_text(
        json.dumps(summarise(Scores.read(Path("scores.csv")), resamples=20))
    )
    rows = "".join(f"a/{n}.png,{('real', 'fake')[n % 2]}\n" for n in range(6))
    Path("labels.csv").write_text("path,label\n" + rows)
    for number in range(6):
        Path("source/a").mkdir(parents=True, exist_ok=True)
        Path(f"source/a/{number}.png").write_bytes(picture("PNG", (40, 36)))


def _attack(name: str) -> dict[str, object]:
    small = {
        "model": "sd",
        "initializer": "person",
        "steps": 1,
        "samples": 1,
        "class_images": 1,
        "sample_steps": 1,
        "prior_weight": 0,
    }
    return {"class_path": f"eval.attacks.personalization.{name}", "init_args": {"config": small}}


def _configs() -> None:
    def folder(sources: list[str]) -> dict[str, object]:
        return {
            "class_path": "datamodules.image_files.ImageFiles",
            "init_args": {"sources": sources, "size": 64},
        }

    generator = {"image_size": 64, "patch_size": 16, "width": 16, "depth": 1, "heads": 2}
    init = {
        "network": "tiny_patches",
        "view": asdict_of_view(),
        "train_view": asdict_of_view() | {"random": True},
    }
    people = {
        "class_path": "datamodules.identities.IdentityFolders",
        "init_args": {"root": "people", "size": 64, "train_pictures": 2, "reference_pictures": 2},
    }
    study = {
        "people": people,
        "faces": "faces",
        "accelerator": "cpu",
        "arms": {
            "clean": {"class_path": "eval.arms.Clean"},
            "rid": {"class_path": "eval.arms.Generator", "init_args": {"weights": "rid"}},
        },
        "batch_size": 1,
        "workers": 0,
    }
    rag = {
        "record": "sentinels/record.json",
        "database": {
            "originals": "collection",
            "embedder": "embedder",
            "accelerator": "cpu",
            "captions": "captions.json",
        },
        "generator": {
            "class_path": "eval.attacks.rag.ImageToImageGenerator",
            "init_args": {"model": "sd", "steps": 2},
        },
        "judge": {
            "class_path": "eval.attacks.rag.ReadingJudge",
            "init_args": {"reader": "embedder"},
        },
    }
    configs = {
        "rid_fit": {
            "trainer": TRAINER,
            "model": {
                "generator": {
                    "class_path": "rid.generator.PerturbationGenerator",
                    "init_args": generator,
                },
                "surrogates": ["sd"],
                "sds_weight": 0.0,
                "regression_weight": 1.0,
                "warmup_steps": 0,
            },
            "data": {
                "class_path": "datamodules.datamodule.ImageDataModule",
                "init_args": {
                    "batch_size": 2,
                    "train": {
                        "class_path": "datamodules.pairs.PairList",
                        "init_args": {"path": "pairs/pairs.json", "size": 64},
                    },
                    "val": folder(["collection"]),
                },
            },
        },
        "detector_fit": {
            "trainer": TRAINER,
            "model": {"detector": {"class_path": "detectors.detector.Detector", "init_args": init}},
            "data": {
                "real": [{"urls": "shards/train-photos-*.tar"}],
                "generated": [{"urls": "shards/train-copies-*.tar"}],
                "val": ["shards/val-*.tar"],
                "batch_size": 4,
                "epoch_samples": 16,
                "num_workers": 0,
            },
        },
        "personalize": study | {"attack": _attack("LoraTextualInversion")},
        "matrix": study
        | {
            "attacks": {"ti": _attack("TextualInversion")},
            "purifications": {
                "jpeg": {
                    "class_path": "eval.attacks.purification.Jpeg",
                    "init_args": {"quality": 75},
                }
            },
        },
        "remover": {
            "people": study["people"],
            "arm": study["arms"]["rid"],
            "training": {"steps": 1, "crop": 32, "widths": [8, 8]},
            "accelerator": "cpu",
        },
        "redteam": {
            "faces": "faces",
            "size": 64,
            "attacks": {"ti": _attack("TextualInversion")},
            "purifications": {"none": None},
            "accelerator": "cpu",
            "workers": 0,
        },
        "rag": rag | {"decide": {"similarity": "embedder", "level": 0.1}},
        "rag_robustness": rag
        | {
            "decision": {"similarity": "embedder", "level": 0.1},
            "reader": "embedder",
            "edits": ["none", "jpeg"],
        },
        "copies": {
            "trainer": TRAINER,
            "model": {
                "class_path": "tiny.copies.CopyTask",
                "init_args": {
                    "network": {
                        "class_path": "models.copy_net.CopyNet",
                        "init_args": {"image_size": 32, "channels": [8, 8]},
                    },
                    "steps": 1,
                },
            },
            "data": {
                "class_path": "datamodules.datamodule.ImageDataModule",
                "init_args": {
                    "batch_size": 2,
                    "train": folder(["collection"]),
                    "val": folder(["collection"]),
                },
            },
        },
    }
    Path("configs").mkdir()
    for name, settings in configs.items():
        Path("configs", f"{name}.yaml").write_text(yaml.safe_dump(settings))


def asdict_of_view() -> dict[str, object]:
    """A small view, as configs write it."""
    return {"policy": "crop", "size": 32, "resize": 32}


def _made_by_verbs() -> None:
    """What other verbs read and verbs make."""
    from eval.human.design import Design
    from eval.human.pictures import LabelledFolders
    from eval.human.server import prepare_study

    def verb(line: str) -> None:
        from importlib import import_module

        room, *words = line.split()
        code = import_module(f"{room}.__main__").main(words)
        assert not code, f"{line}: {code}"

    verb("indexing extract collection -o features --extractor.name extractor --workers 0")
    verb("indexing extract people -o more --extractor.name extractor --workers 0")
    verb("indexing build features -o index --factory IVF1,PQ4x2 --background more")
    Path("gone.txt").write_text("collection/0/0.png\n")
    verb("sentinels embed collection -o vectors --weights embedder --workers 0")
    verb(
        "rid pairs collection -o pairs --objective Denoising --objective.models [sd] --side 64 "
        "--pgd.steps 1 --workers 0 --accelerator cpu"
    )
    verb("eval personalize -c configs/personalize.yaml -o study")
    verb("eval matrix -c configs/matrix.yaml -o matrix")
    _detector_checkpoint(verb)
    Path("judged").mkdir()
    for label, person in (("real", "ann"), ("generated", "ben")):
        shutil.copytree(f"people/{person}", f"judged/{label}")
    labels = {"real": "A photograph", "generated": "Generated"}
    design = Design(
        kind="label",
        title="T",
        question="Which?",
        labels=labels,
        target="generated",
        number=3,
        size=32,
    )
    store = prepare_study(
        design,
        LabelledFolders({label: Path("judged", label) for label in labels}),
        Path("human"),
        seed=3,
    )
    token = store.begin({}, 9, lambda number, shown: [[place] for place in range(4)])
    assert token is not None
    for place in range(4):
        store.question(token)
        store.answer(token, place, "real" if place % 2 else "generated", [])


def _detector_checkpoint(verb) -> None:
    """A Lightning checkpoint of a training run."""
    settings = yaml.safe_load(Path("configs/detector_fit.yaml").read_text())
    settings["trainer"] |= {"enable_checkpointing": True, "default_root_dir": "trained"}
    Path("whole.yaml").write_text(yaml.safe_dump(settings))
    verb("detectors fit -c whole.yaml")
    Path("whole.yaml").unlink()
    found = next(Path("trained").rglob("*.ckpt"))
    Path("checkpoint").mkdir()
    shutil.move(found, "checkpoint/detector.ckpt")
    shutil.rmtree("trained")
