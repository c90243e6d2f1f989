"""Attacks: fine-tuning, one photo, editing, purification, retrieval-augmented generation."""
