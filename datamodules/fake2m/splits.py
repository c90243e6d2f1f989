"""Splits of a data set."""

from typing import Literal

Split = Literal["train", "val", "test", "dev", "calibration"]
"""Use of shards; the first part of their names."""
