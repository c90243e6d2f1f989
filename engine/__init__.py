"""Command line, batch jobs, training, records and pages."""

__version__ = "0.2.0"
