"""Base class of all models: saving, strict loading, and upload to the Hub."""

from __future__ import annotations

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
from checkpoints.configurable import ConfigurableNetwork
from checkpoints.digests import DIGEST, check_digest, write_digest
from checkpoints.folders import WEIGHTS, model_path, read_config
from checkpoints.golden import GOLDEN
from checkpoints.lightning_files import (
    Config,
    Weights,
    parts_with_keys,
    read_checkpoint,
    weights_of_part,
)
from checkpoints.strict import first_not_finite, load_strictly
from checkpoints.tensors import read_weights
from engine.files import atomic_write, write_text

Migration = Callable[[Config, Weights], tuple[Config, Weights]]
"""Function from the settings and weights of one format to those of the next."""


class SavedModel(ConfigurableNetwork):
    """Network with ``save_pretrained``, strict ``from_pretrained`` and ``push_to_hub``.

    A class whose constructor takes plain values derives from it and states its purpose::

        class Extractor(SavedModel, tags=["copy-detection"]):
            PURPOSE = Purpose(
                "Copy-detection features",
                use="Finding edited copies of images.",
                limits="Trained on photographs.",
            )

    Add it to ``MODELS`` of ``checkpoints/classes.py``, so that ``push`` and ``verify`` find it.

    A class with other arguments overrides :meth:`to_config` and :meth:`from_config`. A class with
    more files than weights overrides :meth:`save_extras` and :meth:`read_extras`.

    When the constructor or the names of the weights change, raise ``FORMAT`` and add the step to
    ``MIGRATIONS``, so that old files keep loading.

    A model folder has ``config.json`` (class, format, constructor arguments),
    ``model.safetensors`` and ``model.sha256``. A pushed one also has the card ``README.md`` and
    the golden outputs ``golden.npz``.
    """

    FORMAT: ClassVar[int] = 1
    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {}
    """Migrations by the format that they start from; 0 is that of folders without a format.

    A missing migration changes nothing.
    """
    PURPOSE: ClassVar[Purpose]
    TAGS: ClassVar[tuple[str, ...]] = ()
    """Tags of the model on the Hub."""

    def __init_subclass__(cls, tags: list[str] | None = None, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.TAGS = tuple(tags or cls.TAGS)

    def save_extras(self, folder: Path) -> None:
        """Write the other files of a model folder."""

    def read_extras(self, folder: Path) -> None:
        """Read the other files of a model folder."""

    def example_inputs(self) -> Tensor | tuple[Tensor, ...]:
        """Return the fixed inputs of ``verify``.

        Returns:
            Images, (2, 3, S, S) in [0, 1]; a tuple for a network with several inputs.
        """
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
        """Write the model's folder, each file atomically.

        The card is written when the model is pushed.

        Args:
            save_directory: The folder.
            push_to_hub: Also push the model; see :meth:`push_to_hub`.
            repo_id: Repository on the Hub; None for the folder's name.
            push_settings: More arguments of :meth:`push_to_hub`.

        Returns:
            Address of the commit if the model was pushed, else None.

        Raises:
            FloatingPointError: If a weight is not finite; nothing is written.
        """
        folder = Path(save_directory)
        weights = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        if name := first_not_finite(weights):
            msg = (
                f"the {type(self).__name__} has weights that are not finite ({name}) "
                f"and was not saved to {folder}: "
                "lower the learning rate or train with precision 32-true"
            )
            raise FloatingPointError(msg)

        # weights and their hash; the old hash and golden outputs belong to other weights
        with atomic_write(folder / WEIGHTS) as partial:
            save_file(weights, partial, metadata={"format": "pt"})
            for name in (GOLDEN, DIGEST):
                (folder / name).unlink(missing_ok=True)
        write_digest(folder)

        # settings and other files
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
        """Load a model strictly, in evaluation mode.

        Args:
            name: A model folder; a Lightning checkpoint (``.ckpt``); a name of the registry; or a
                Hub id, ``org/model`` or ``org/model@revision``.
            revision: Branch, tag or commit on the Hub.
            dtype: Data type of the weights; None for that of a new network.
            settings: Constructor arguments that the files lack or that override theirs.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If the files are damaged, of another class or of a later format, or do not
                contain exactly this network's weights.
        """
        address = f"{name}@{revision}" if revision and not Path(name).exists() else str(name)
        path = model_path(address, "config.json", WEIGHTS)
        if path.is_file():
            return cls._from_checkpoint(path, dtype, settings)
        check_digest(path)
        model = cls.from_config_and_weights(
            read_config(path), read_weights(path), path, dtype, settings
        )
        model.read_extras(path)
        return model

    def push_to_hub(
        self, repo_id: str, *, private: bool = True, commit_message: str | None = None
    ) -> str:
        """Push the model to the Hub, with golden outputs and a card.

        ``python -m checkpoints push`` takes the folder of a run, so its card has recipe and
        figures.

        Args:
            repo_id: ``org/model``; created if it does not exist.
            private: Create a private repository.
            commit_message: Message of the commit.

        Returns:
            Address of the commit.

        Raises:
            ValueError: If the Hub cannot be reached or refuses the upload.
        """
        from checkpoints.push import push, stage

        with TemporaryDirectory() as folder:
            stage(self, Path(folder) / "staged", repo_id)
            return push(Path(folder) / "staged", repo_id, private, commit_message)

    @classmethod
    def _from_checkpoint(cls, path: Path, dtype: torch.dtype | None, settings: Config) -> Self:
        """Load the model from a Lightning checkpoint."""
        # find the model in the checkpoint
        state, configs = read_checkpoint(path)
        matching = [name for name, config in configs.items() if config.get("model") == cls.__name__]
        config: Config
        if len(matching) == 1:
            part = matching[0]
            config = configs[part]
        elif settings:
            with shapes_only(state):
                keys = list(cls.from_config(settings).state_dict())
            parts = parts_with_keys(state, keys)
            if len(parts) != 1:
                msg = (
                    f"{path}: contains no {cls.__name__} of these settings; "
                    "give those it was trained with"
                )
                raise ValueError(msg)
            part = parts[0]
            config = {"format": cls.FORMAT}
        elif configs:
            kinds = ", ".join(str(config.get("model")) for config in configs.values())
            msg = f"{path}: contains {kinds}, not one {cls.__name__}; give a checkpoint that does"
            raise ValueError(msg)
        else:
            msg = (
                f"{path}: has no settings of its {cls.__name__}; "
                "give the constructor's arguments, as in the run's config"
            )
            raise ValueError(msg)

        weights = weights_of_part(state, part)
        return cls.from_config_and_weights(config, weights, path, dtype, settings)

    @classmethod
    def from_config_and_weights(
        cls,
        config: Config,
        weights: Weights,
        source: Path,
        dtype: torch.dtype | None = None,
        overrides: Config | None = None,
    ) -> Self:
        """Build the network from its settings and weights, in evaluation mode.

        Settings and weights of earlier formats are migrated.

        Args:
            config: Content of ``config.json``.
            weights: Content of ``model.safetensors``.
            source: Their folder or file, for messages.
            dtype: See :meth:`from_pretrained`.
            overrides: Settings that replace those of ``config``.

        Raises:
            ValueError: See :meth:`from_pretrained`.
        """
        # check class and format
        config = dict(config)
        kind = config.pop("model", cls.__name__)
        stored_format = config.pop("format", 0)
        if kind != cls.__name__:
            msg = f"{source}: contains a {kind}, not a {cls.__name__}"
            raise ValueError(msg)
        if not isinstance(stored_format, int) or not 0 <= stored_format <= cls.FORMAT:
            msg = (
                f"{source}: {kind} of format {stored_format}, this version reads up to "
                f"{cls.FORMAT}; update this project or export the model again"
            )
            raise ValueError(msg)

        # migrate, and build the network without values
        try:
            for step in range(stored_format, cls.FORMAT):
                if step in cls.MIGRATIONS:
                    config, weights = cls.MIGRATIONS[step](config, weights)
            config |= overrides or {}
            check_types(cls, config)
            with shapes_only(weights):
                model = cls.from_config(config)
        except Exception as error:  # constructors raise any error for untrusted settings
            msg = f"{source}: not a {cls.__name__}'s settings ({error}); export the model again"
            raise ValueError(msg) from error

        # load the weights
        load_strictly(model, weights, source, dtype)
        return (model if dtype is None else model.to(dtype)).eval()


def model_configs(module: nn.Module) -> dict[str, Config]:
    """Return class, format and settings of the models in a module, by module name."""
    configs = {}
    for name, part in module.named_modules():
        if isinstance(part, SavedModel):
            kind = {"model": type(part).__name__, "format": part.FORMAT}
            configs[name] = kind | part.to_config()
    return configs
