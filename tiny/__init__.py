"""The embedded world: procedural portraits and the recipes that trained the weights in ``checkpoints/tiny``."""
