"""Weights: folders, the Hugging Face Hub, and the toy models in ``checkpoints/tiny``."""
