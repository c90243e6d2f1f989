"""Metrics of protection, image quality and retrieval."""
