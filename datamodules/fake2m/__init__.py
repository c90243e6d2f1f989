"""The data of real-or-generated detectors."""
