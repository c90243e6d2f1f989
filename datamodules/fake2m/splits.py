"""Splits of a data set."""

from typing import Literal

Split = Literal["train", "val", "test", "dev", "calibration"]
"""What shards are for: the first part of their names."""
