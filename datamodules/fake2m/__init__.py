"""Fake2M and MPBench: data of generated-image detectors."""
