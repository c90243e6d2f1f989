"""Protecting photos with a trained generator."""
