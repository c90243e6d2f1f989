"""Training of the perturbation generator."""
