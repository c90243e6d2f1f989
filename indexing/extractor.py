"""Networks that describe pictures for copy detection: TorchScript files, timm, torchvision, and folders of this project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from checkpoints.folders import model_folder
from checkpoints.safe import is_program, open_program, read_pickled
from checkpoints.strict import first_fault
from engine.files import file_digest
from images.io import Photo
from indexing.preprocessing import device_of, normalise, resize
from models.copy_net import CopyNet

TORCHSCRIPT = frozenset({".pt", ".pth", ".ts", ".torchscript", ".jit"})
CLASSIFIERS = ("head", "fc", "classifier", "heads")
WRAPPINGS = ("state_dict", "model_state_dict", "teacher")


@dataclass(frozen=True)
class ExtractorConfig:
    """Which network, and what it sees of a picture.

    Attributes:
        name: A TorchScript file (SSCD, DINO and ISC are released as such), ``timm:NAME``, ``torchvision:NAME``, or a folder or Hub
            id of this project's own network.
        weights: State dict for a timm or torchvision name (``.safetensors``, or ``.pth`` without code); its published ones if None.
        size: Side pictures are resized to; that of the folder's network, or 288 as in the paper, if None.
        antialias: Smooth pictures when making them smaller. The paper's features were made without.
        unit: Bring descriptors to unit length; SSCD's and this project's have it already.
        trust_torchscript: A TorchScript file is a program; run it all the same.
    """

    name: str = "checkpoints/tiny/copies"
    weights: Path | None = None
    size: int | None = None
    antialias: bool = True
    unit: bool = False
    trust_torchscript: bool = False


class Extractor(nn.Module):
    """A network with its view of a picture.

    Args:
        network: From (B, 3, S, S), normalised by ImageNet's statistics, to (B, D).
        side: S.
        antialias: Of resizing.
        unit: Bring descriptors to unit length.
        digest: What tells these weights from others.
    """

    def __init__(self, network: nn.Module, side: int, antialias: bool, unit: bool, digest: str) -> None:
        super().__init__()
        self.network = network.eval()
        for parameter in network.parameters():  # TorchScript takes no requires_grad_ of the whole
            parameter.requires_grad_(False)
        self.side, self.antialias, self.unit, self.digest = side, antialias, unit, digest

    def describe(self, small: Tensor) -> Tensor:
        """Descriptors, (B, D) float32, of (B, 3, S, S) pictures that are normalised already.

        Raises:
            ValueError: If the network gives anything but one vector for each picture.
        """
        found = self.network(small)
        if not isinstance(found, Tensor) or found.ndim != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            msg = f"the network gives {shape} instead of one vector for each picture; choose one that describes whole pictures"
            raise ValueError(msg)
        return F.normalize(found.float(), dim=1) if self.unit else found.float()

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors of (B, 3, H, W) pictures in [0, 1]."""
        return self.describe(resize(normalise(images), self.side, self.antialias))

    def view(self, photo: Photo) -> Tensor:
        """What the network sees of a picture, (1, 3, S, S), normalised."""
        return resize(normalise(photo.tensor()).unsqueeze(0), self.side, self.antialias)

    @torch.no_grad()
    def dimension(self) -> int:
        """Length of a descriptor."""
        return self.describe(torch.zeros(2, 3, self.side, self.side, device=device_of(self))).shape[1]

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the view: descriptors of different fingerprints cannot be compared."""
        facts = {"weights": self.digest, "side": self.side, "antialias": self.antialias, "unit": self.unit}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def load_extractor(config: ExtractorConfig) -> Extractor:
    """Open an extractor.

    Raises:
        FileNotFoundError: If there is no such file, folder or published network.
        ValueError: If it is a program that is not trusted, damaged, of other weights, or refuses pictures of this size.
    """
    kind, _, rest = config.name.partition(":")
    path = Path(config.name)
    if path.is_file() or path.suffix in TORCHSCRIPT:
        network, side, digest = _torchscript(path, config)
    elif kind in ("timm", "torchvision") and rest:
        network = _timm(rest, config.weights) if kind == "timm" else _torchvision(rest, config.weights)
        side, digest = 288, _state_digest(network)
    else:
        folder = model_folder(config.name, "config.json", "model.safetensors")
        network = _own(folder)
        side, digest = network.image_size, file_digest(folder / "model.safetensors")
    extractor = Extractor(network, config.size or side, config.antialias, config.unit, digest)
    try:
        extractor.dimension()
    except (RuntimeError, AssertionError) as error:
        msg = f"{config.name} refuses pictures of {extractor.side} pixels ({_first_line(error)}); give the side it was made for as size"
        raise ValueError(msg) from error
    return extractor


def described(config: ExtractorConfig, extractor: Extractor) -> dict[str, Any]:
    """An extractor for the record, and to compare with others'."""
    settings = asdict(config) | {"size": extractor.side, "dimension": extractor.dimension(), "fingerprint": extractor.fingerprint}
    del settings["trust_torchscript"]
    return settings


def as_described(record: Mapping[str, Any], trust_torchscript: bool = False) -> ExtractorConfig:
    """The settings that :func:`described` gave, of an index or features.

    Raises:
        ValueError: If nobody recorded which extractor it was.
    """
    if not record.get("name"):
        msg = "it is not recorded which extractor this index was built with; extract the features with python -m indexing extract"
        raise ValueError(msg)
    weights = Path(record["weights"]) if record.get("weights") else None
    kept = {key: record[key] for key in ("name", "size", "antialias", "unit")}
    return ExtractorConfig(**kept, weights=weights, trust_torchscript=trust_torchscript)


def _torchscript(path: Path, config: ExtractorConfig) -> tuple[nn.Module, int, str]:
    if path.is_file() and not is_program(path):
        msg = f"{path}: not a TorchScript file, or damaged; a state dict needs its architecture: timm:NAME with weights"
        raise ValueError(msg)
    if path.is_file() and not config.trust_torchscript:
        msg = (
            f"{path} is a TorchScript file, which is a program: opening one from a stranger runs the stranger's code. "
            "If you trust where it is from, add --trust-torchscript"
        )
        raise ValueError(msg)
    return open_program(path, config.trust_torchscript), 288, file_digest(path)


def _timm(name: str, weights: Path | None) -> nn.Module:
    if not timm.is_model(name.split(".")[0]):
        msg = f"timm has no network '{name}'; python -c \"import timm; print(timm.list_models('*resnet*'))\" lists them"
        raise ValueError(msg)
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except (RuntimeError, OSError) as error:
        msg = f"timm:{name}: its weights cannot be fetched ({_first_line(error)}); fetch them once, or give weights"
        raise FileNotFoundError(msg) from error
    return network if weights is None else _filled(network, weights)


def _torchvision(name: str, weights: Path | None) -> nn.Module:
    if name not in torchvision.models.list_models():
        msg = f"torchvision has no network '{name}'; see torchvision.models.list_models()"
        raise ValueError(msg)
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT" if weights is None else None)
    except OSError as error:
        msg = f"torchvision:{name}: its weights cannot be fetched ({_first_line(error)}); fetch them once, or give weights"
        raise FileNotFoundError(msg) from error
    for part in CLASSIFIERS:
        if isinstance(getattr(network, part, None), nn.Module):
            setattr(network, part, nn.Identity())
    return network if weights is None else _filled(network, weights)


def _filled(network: nn.Module, file: Path) -> nn.Module:
    """The network with a file's weights, which may bring a classifier and wrappers' names besides."""
    try:
        found: Any = load_file(file) if file.suffix == ".safetensors" else read_pickled(file)
    except SafetensorError as error:
        msg = f"{file}: damaged or not safetensors ({_first_line(error)}); download it again"
        raise ValueError(msg) from error
    for key in WRAPPINGS:
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        msg = f"{file}: no state dict in it; save the network's state_dict()"
        raise ValueError(msg)
    plain = {str(key).replace("module.", "").replace("backbone.", ""): value for key, value in found.items()}
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    kept = {key: value for key, value in plain.items() if key in expected or key.split(".")[0] not in CLASSIFIERS}
    if fault := first_fault(expected, kept):
        msg = f"{file}: {fault}"
        raise ValueError(msg)
    network.load_state_dict(kept)
    return network


def _own(folder: Path) -> CopyNet:
    return CopyNet.from_pretrained(folder, dtype=torch.float32).to(memory_format=torch.channels_last)


def _state_digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.ndim else str(value.item()).encode())
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
