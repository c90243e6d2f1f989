"""Finding weights: folders, the Hugging Face Hub, and the small models that ship in ``checkpoints/tiny``."""
