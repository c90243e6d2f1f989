"""The toy world: procedural portraits, and the recipes of the weights in ``checkpoints/tiny``."""
