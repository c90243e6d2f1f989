"""Every way pictures reach a Trainer, and the only place that decodes image files."""
