"""What every model class of this project can do: save itself, open itself strictly from anywhere, and go to the Hub."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from checkpoints.building import check_types, shapes_only
from checkpoints.card import Purpose
from checkpoints.digests import DIGEST, check_digest, write_digest
from checkpoints.folders import WEIGHTS, model_path, read_config
from checkpoints.golden import GOLDEN
from checkpoints.safe import read_pickled
from checkpoints.strict import first_mismatch
from checkpoints.tensors import read_weights
from engine.files import atomic_write, write_text

Config = dict[str, Any]
Weights = dict[str, Tensor]
Migration = Callable[[Config, Weights], tuple[Config, Weights]]
"""Settings and weights of one format to those of the next."""

MODELS_KEY = "models"
"""Entry of a Lightning checkpoint with the settings of the models in it."""


class SavedModel(nn.Module):
    """A network that travels: ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``, all strict.

    For a class whose constructor takes plain values, it is two lines: derive from it, and say what it is for ::

        class Extractor(SavedModel, tags=["copy-detection"]):
            PURPOSE = Purpose("Copy-detection features", use="Finding edited copies of pictures.", limits="Trained on photographs.")

    and name it in ``MODELS`` of ``checkpoints/__main__.py``, so that ``push`` and ``verify`` find it. A class with other arguments
    overrides :meth:`to_config` and :meth:`from_config`; one that keeps more than weights, :meth:`save_extras` and :meth:`read_extras`.
    When the constructor or the names of the weights change, raise ``FORMAT`` and add the step to ``MIGRATIONS``: old files keep loading.

    A folder has ``config.json`` (class, format, the constructor's arguments), ``model.safetensors`` and ``model.sha256``; once pushed
    also ``README.md``, the card, and ``golden.npz``, answers to compare with.
    """

    FORMAT: ClassVar[int] = 1
    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {}
    """By the format they start from; 0 is that of folders that do not name theirs. A step that is not here changes nothing."""
    PURPOSE: ClassVar[Purpose]
    TAGS: ClassVar[tuple[str, ...]] = ()
    """What the Hub files it under."""

    def __init_subclass__(cls, tags: list[str] | None = None, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.TAGS = tuple(tags or cls.TAGS)

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """A network that remembers its constructor's arguments."""
        made = super().__new__(cls)
        parameters = inspect.signature(cls).parameters
        defaults = {
            name: found.default
            for name, found in parameters.items()
            if found.default is not found.empty
        }
        made.__dict__["_arguments"] = defaults | dict(zip(parameters, given, strict=False)) | named
        return made

    def to_config(self) -> Config:
        """Return the constructor's arguments that build this network again, as JSON holds them."""
        return dict(self.__dict__["_arguments"])

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build a network of these arguments, its weights yet to come.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If one is out of range.
        """
        known = list(inspect.signature(cls).parameters)
        if unknown := sorted(set(config) - set(known)):
            msg = f"unknown settings {', '.join(unknown)}; a {cls.__name__} has {', '.join(known)}"
            raise ValueError(msg)
        if missing := sorted(
            set(known) - set(config)
        ):  # no default: a bound or threshold must be the one it was trained with
            msg = f"{', '.join(missing)} missing"
            raise ValueError(msg)
        return cls(**config)

    def save_extras(self, folder: Path) -> None:
        """Write what is kept beside the weights."""

    def read_extras(self, folder: Path) -> None:
        """Read what is kept beside the weights."""

    def example_inputs(self) -> Tensor | tuple[Tensor, ...]:
        """Make what ``verify`` asks the network, always the same: images, (2, 3, S, S) in [0, 1]; several inputs as a tuple."""
        side = int(getattr(self, "image_size", 64))
        return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        **push_settings: Any,
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
        if bad := [
            name
            for name, value in weights.items()
            if value.is_floating_point() and not value.isfinite().all()
        ]:
            msg = (
                f"the {type(self).__name__} has weights that are not finite ({bad[0]}) and was not saved to {folder}: "
                "lower the learning rate or train with precision 32-true"
            )
            raise FloatingPointError(msg)
        with atomic_write(folder / WEIGHTS) as partial:
            save_file(weights, partial, metadata={"format": "pt"})
            for name in (GOLDEN, DIGEST):  # those of other weights
                (folder / name).unlink(missing_ok=True)
        write_digest(folder)
        config = {"model": type(self).__name__, "format": self.FORMAT} | self.to_config()
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
        self.save_extras(folder)
        return self.push_to_hub(repo_id or folder.name, **push_settings) if push_to_hub else None

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        dtype: torch.dtype | None = None,
        **settings: Any,
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
        address = f"{name}@{revision}" if revision and not Path(name).exists() else str(name)
        place = model_path(address, "config.json", WEIGHTS)
        if place.is_file():
            return cls._from_checkpoint(place, dtype, settings)
        check_digest(place)
        model = cls.from_config_and_weights(
            read_config(place), read_weights(place), place, dtype, settings
        )
        model.read_extras(place)
        return model

    def push_to_hub(
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
        from checkpoints.push import push, stage

        with TemporaryDirectory() as made:
            stage(self, Path(made) / "staged", repo_id)
            return push(Path(made) / "staged", repo_id, private, commit_message)

    @classmethod
    def _from_checkpoint(cls, path: Path, dtype: torch.dtype | None, settings: Config) -> Self:
        """From a Lightning checkpoint."""
        state, remembered = read_checkpoint(path)
        fitting = [
            name for name, config in remembered.items() if config.get("model") == cls.__name__
        ]
        if len(fitting) == 1:
            part, config = fitting[0], remembered[fitting[0]]
        elif settings:
            with shapes_only(state):
                keys = list(cls.from_config(settings).state_dict())
            found = {
                name.removesuffix(keys[0]).rstrip(".") for name in state if name.endswith(keys[0])
            }
            whole = [part for part in found if all(_inside(part, key) in state for key in keys)]
            if len(whole) != 1:
                msg = f"{path}: holds no {cls.__name__} of these settings; give those it was trained with"
                raise ValueError(msg)
            part, config = whole[0], {"format": cls.FORMAT}
        elif remembered:
            held = ", ".join(str(config.get("model")) for config in remembered.values())
            msg = f"{path}: holds {held}, not one {cls.__name__}; give a checkpoint that does"
            raise ValueError(msg)
        else:
            msg = f"{path}: does not say how its {cls.__name__} is built; give the constructor's arguments, as in the run's config"
            raise ValueError(msg)
        prefix = _inside(part, "")
        weights = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        return cls.from_config_and_weights(config, weights, path, dtype, settings)

    @classmethod
    def from_config_and_weights(
        cls,
        config: Config,
        weights: Weights,
        where: Path,
        dtype: torch.dtype | None = None,
        given: Config | None = None,
    ) -> Self:
        """Make the network of these settings with these weights, both brought to the present format, in evaluation mode.

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
            msg = f"{where}: {kind} of format {stored}, this version reads up to {cls.FORMAT}; update this project or export the model again"
            raise ValueError(msg)
        try:
            for step in range(stored, cls.FORMAT):
                if step in cls.MIGRATIONS:
                    config, weights = cls.MIGRATIONS[step](config, weights)
            config |= given or {}
            check_types(cls, config)
            with shapes_only(weights):  # the file brings the values
                model = cls.from_config(config)
        except Exception as error:  # constructors fail on strangers' settings in any way
            msg = f"{where}: not a {cls.__name__}'s settings ({error}); export the model again"
            raise ValueError(msg) from error
        expected = model.state_dict()
        if fault := first_mismatch(
            cls.__name__, {key: tuple(value.shape) for key, value in expected.items()}, weights
        ):
            msg = f"{where}: {fault}"
            raise ValueError(msg)
        kept = {
            key: dtype if dtype and value.is_floating_point() else value.dtype
            for key, value in expected.items()
        }
        model.load_state_dict(
            {key: value.to(kept[key]) for key, value in weights.items()}, assign=True
        )
        return (model if dtype is None else model.to(dtype)).eval()


def read_checkpoint(path: Path) -> tuple[Weights, dict[str, Config]]:
    """Read a Lightning checkpoint: its weights, and class and settings of the models in it by their names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or no Lightning checkpoint.
    """
    content = read_pickled(path)
    state, remembered = (
        content.get(key, {}) if isinstance(content, dict) else None
        for key in ("state_dict", MODELS_KEY)
    )
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        msg = f"{path}: not a Lightning checkpoint; give a model folder, a checkpoint that fit wrote, or a Hub id"
        raise ValueError(msg)
    if not isinstance(remembered, dict) or not all(
        isinstance(config, dict) for config in remembered.values()
    ):
        msg = f"{path}: what it says of its models is damaged; give another checkpoint of the run"
        raise ValueError(msg)
    return state, remembered


def model_configs(module: nn.Module) -> dict[str, Config]:
    """List class, format and settings of the models in a module, by their names in it, for a checkpoint."""
    return {
        name: {"model": type(part).__name__, "format": part.FORMAT} | part.to_config()
        for name, part in module.named_modules()
        if isinstance(part, SavedModel)
    }


def _inside(part: str, key: str) -> str:
    return f"{part}.{key}" if part else key
