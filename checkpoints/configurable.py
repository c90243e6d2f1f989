"""Networks that can be rebuilt from their constructor arguments."""

from __future__ import annotations

import inspect
from typing import Any, Self

from torch import nn

from checkpoints.lightning_files import Config


class ConfigurableNetwork(nn.Module):
    """Network that records its constructor arguments."""

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """Create a network and record its constructor arguments."""
        model = super().__new__(cls)
        parameters = inspect.signature(cls).parameters
        arguments = {}
        for name, parameter in parameters.items():
            if parameter.default is not parameter.empty:
                arguments[name] = parameter.default
        arguments |= dict(zip(parameters, given, strict=False)) | named
        model.__dict__["_arguments"] = arguments
        return model

    def to_config(self) -> Config:
        """Return the constructor arguments of this network, as JSON values."""
        return dict(self.__dict__["_arguments"])

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build a network from its constructor arguments, without its weights.

        Raises:
            ValueError: If an argument is unknown, missing or out of range.
        """
        known = list(inspect.signature(cls).parameters)
        if unknown := sorted(set(config) - set(known)):
            msg = f"unknown settings {', '.join(unknown)}; a {cls.__name__} has {', '.join(known)}"
            raise ValueError(msg)
        # defaults are not used: a bound or threshold must be that of the training
        if missing := sorted(set(known) - set(config)):
            msg = f"{', '.join(missing)} missing"
            raise ValueError(msg)
        return cls(**config)
