"""Data sets, data modules and shards for training and evaluation."""
