"""Protection of photos with a trained generator."""
