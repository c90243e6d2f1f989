"""What every model class of this project can do: save itself, open itself strictly from anywhere, and go to the Hub."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self, cast

import torch
from accelerate import init_empty_weights
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import save_file
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.folders import model_folder, read_config, read_weights
from checkpoints.golden import GOLDEN
from checkpoints.push import push, stage
from checkpoints.safe import read_pickled
from checkpoints.strict import first_fault
from engine.files import write_text

Config = dict[str, Any]
Weights = dict[str, Tensor]
Migration = Callable[[Config, Weights], tuple[Config, Weights]]
"""Settings and weights of one format to those of the next."""

REMEMBERED = "models"
"""Entry of a Lightning checkpoint with the settings of the models in it."""


class SavedModel(nn.Module, PyTorchModelHubMixin, library_name="pytorch", license="apache-2.0"):
    """A network that travels: ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``, all strict.

    For a class whose constructor takes plain values, it is two lines: derive from it, and say what it is for ::

        class Extractor(SavedModel, tags=["copy-detection"]):
            PURPOSE = Purpose("Copy-detection features", use="Finding edited copies of pictures.", limits="Trained on photographs.")

    and name it in ``MODELS`` of ``checkpoints/__main__.py``, so that ``push`` and ``verify`` find it. A class with other arguments
    overrides :meth:`describe` and :meth:`build`; one that keeps more than weights, :meth:`save_beside` and :meth:`read_beside`.
    When the constructor or the names of the weights change, raise ``FORMAT`` and add the step to ``MIGRATIONS``: old files keep loading.

    A folder has ``config.json`` (class, format, the constructor's arguments) and ``model.safetensors``; once pushed also ``README.md``,
    the card, and ``golden.npz``, answers to compare with.
    """

    FORMAT: ClassVar[int] = 1
    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {}
    """By the format they start from; 0 is that of folders that do not name theirs. A step that is not here changes nothing."""
    PURPOSE: ClassVar[Purpose]

    def describe(self) -> Config:
        """The constructor's arguments that build this network again, as JSON holds them."""
        return dict(cast(Config, self._hub_mixin_config or {}))

    @classmethod
    def build(cls, config: Config) -> Self:
        """A network of these arguments, its weights yet to come.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If one is out of range.
        """
        known = list(inspect.signature(cls).parameters)
        if unknown := sorted(set(config) - set(known)):
            msg = f"unknown settings {', '.join(unknown)}; a {cls.__name__} has {', '.join(known)}"
            raise ValueError(msg)
        if missing := sorted(set(known) - set(config)):  # no default: a bound or threshold must be the one it was trained with
            msg = f"{', '.join(missing)} missing"
            raise ValueError(msg)
        return cls(**config)

    def save_beside(self, folder: Path) -> None:
        """Write what is kept beside the weights."""

    def read_beside(self, folder: Path) -> None:
        """Read what is kept beside the weights."""

    def example_inputs(self) -> Tensor | tuple[Tensor, ...]:
        """What ``verify`` asks the network, always the same: pictures, (2, 3, S, S) in [0, 1]; several inputs as a tuple."""
        side = int(getattr(self, "image_size", 64))
        return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))

    def save_pretrained(
        self, save_directory: str | Path, *, push_to_hub: bool = False, repo_id: str | None = None, **push_settings: Any
    ) -> str | None:
        """Write the model's folder, each file whole or not at all. The card is written when it is pushed, and knows all by then.

        Args:
            save_directory: The folder.
            push_to_hub: Push it, too; see :meth:`push_to_hub`.
            repo_id: Where to; the folder's name if None.
            push_settings: For :meth:`push_to_hub`.

        Raises:
            FloatingPointError: If a weight is not finite; nothing is written.
        """
        folder = Path(save_directory)
        weights = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        if bad := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
            msg = (
                f"the {type(self).__name__} has weights that are not finite ({bad[0]}) and was not saved to {folder}: "
                "lower the learning rate or train with precision 32-true"
            )
            raise FloatingPointError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"model.safetensors.{os.getpid()}.partial"
        save_file(weights, partial, metadata={"format": "pt"})
        (folder / GOLDEN).unlink(missing_ok=True)  # the answers of other weights
        os.replace(partial, folder / "model.safetensors")
        config = {"model": type(self).__name__, "format": self.FORMAT} | self.describe()
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
        self.save_beside(folder)
        return self.push_to_hub(repo_id or folder.name, **push_settings) if push_to_hub else None

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, name: str | Path, *, revision: str | None = None, dtype: torch.dtype | None = None, **settings: Any
    ) -> Self:
        """Open a model, strictly, in evaluation mode.

        Args:
            name: Its folder; a Lightning checkpoint (``.ckpt``) with it; a name of the registry; or a Hub id, ``org/model`` or
                ``org/model@revision``.
            revision: Branch, tag or commit on the Hub.
            dtype: Precision of its weights; that of a new network if None.
            settings: The constructor's arguments that the files do not tell or that are to differ.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If the files are damaged, of another class or of a later format, or hold anything but this network's weights.
        """
        path = Path(name)
        if path.is_file():
            return cls._from_checkpoint(path, dtype, settings)
        address = f"{name}@{revision}" if revision and not path.is_dir() else str(name)
        folder = model_folder(address, "config.json", "model.safetensors")
        model = cls.assemble(read_config(folder), read_weights(folder), folder, dtype, settings)
        model.read_beside(folder)
        return model

    def push_to_hub(  # type: ignore[override]
        self, repo_id: str, *, private: bool = True, commit_message: str | None = None
    ) -> str:
        """Push the model to the Hub, with answers to compare with and a card.

        ``python -m checkpoints push`` takes a run's folder, and so knows its recipe and figures, too.

        Args:
            repo_id: ``org/model``; made if it is not there.
            private: Whether it is made for you alone.
            commit_message: Of the commit.

        Returns:
            The commit's address.

        Raises:
            ValueError: If the Hub cannot be reached or refuses it, with what to do.
        """
        with TemporaryDirectory() as made:
            stage(self, Path(made) / "staged", repo_id)
            return push(Path(made) / "staged", repo_id, private, commit_message)

    @classmethod
    def _from_checkpoint(cls, path: Path, dtype: torch.dtype | None, settings: Config) -> Self:
        """From a Lightning checkpoint."""
        content = read_pickled(path)
        if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
            msg = f"{path}: not a Lightning checkpoint; give a model folder, a checkpoint that fit wrote, or a Hub id"
            raise ValueError(msg)
        state, remembered = content["state_dict"], content.get(REMEMBERED, {})
        fitting = [name for name, config in remembered.items() if config.get("model") == cls.__name__]
        if len(fitting) == 1:
            part, config = fitting[0], remembered[fitting[0]]
        elif settings:
            with init_empty_weights(include_buffers=False):
                keys = list(cls.build(settings).state_dict())
            found = {name.removesuffix(keys[0]).rstrip(".") for name in state if name.endswith(keys[0])}
            whole = [part for part in found if all(_inside(part, key) in state for key in keys)]
            if len(whole) != 1:
                msg = f"{path}: holds no {cls.__name__} of these settings; give those it was trained with"
                raise ValueError(msg)
            part, config = whole[0], {"format": cls.FORMAT}
        else:
            msg = f"{path}: does not say how its {cls.__name__} is built; give the constructor's arguments, as in the run's config"
            raise ValueError(msg)
        prefix = _inside(part, "")
        weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        return cls.assemble(config, weights, path, dtype, settings)

    @classmethod
    def assemble(cls, config: Config, weights: Weights, where: Path, dtype: torch.dtype | None = None, given: Config | None = None) -> Self:
        """The network of these settings with these weights, both brought to the present format, in evaluation mode.

        Args:
            config: What ``config.json`` holds.
            weights: What ``model.safetensors`` holds.
            where: They are from, for errors.
            dtype: As for :meth:`from_pretrained`.
            given: Settings that differ.

        Raises:
            ValueError: As :meth:`from_pretrained`.
        """
        config = dict(config)
        kind, stored = config.pop("model", cls.__name__), config.pop("format", 0)
        if kind != cls.__name__:
            msg = f"{where}: holds a {kind}, not a {cls.__name__}"
            raise ValueError(msg)
        if not isinstance(stored, int) or not 0 <= stored <= cls.FORMAT:
            msg = (
                f"{where}: {kind} of format {stored}, this version reads up to {cls.FORMAT}; update this project or export the model again"
            )
            raise ValueError(msg)
        try:
            for step in range(stored, cls.FORMAT):
                if step in cls.MIGRATIONS:
                    config, weights = cls.MIGRATIONS[step](config, weights)
            with init_empty_weights(include_buffers=False):  # sizes only: the file brings the values
                model = cls.build(config | (given or {}))
        except (TypeError, ValueError, KeyError) as error:
            msg = f"{where}: not a {cls.__name__}'s settings ({error}); export the model again"
            raise ValueError(msg) from error
        expected = model.state_dict()
        if fault := first_fault({key: tuple(value.shape) for key, value in expected.items()}, weights):
            msg = f"{where}: {fault}"
            raise ValueError(msg)
        kept = {key: dtype if dtype and value.is_floating_point() else value.dtype for key, value in expected.items()}
        model.load_state_dict({key: value.to(kept[key]) for key, value in weights.items()}, assign=True)
        return (model if dtype is None else model.to(dtype)).eval()


def remember(module: nn.Module) -> dict[str, Config]:
    """Class, format and settings of the models in a module, by their names in it, for a checkpoint."""
    return {
        name: {"model": type(part).__name__, "format": part.FORMAT} | part.describe()
        for name, part in module.named_modules()
        if isinstance(part, SavedModel)
    }


def _inside(part: str, key: str) -> str:
    return f"{part}.{key}" if part else key
