"""Attacks: personalization, purification, and retrieval-augmented generation."""
