"""Comparison of two runs of one kind."""
