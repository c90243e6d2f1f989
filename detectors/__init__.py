"""Sentry: classifiers that tell generated images from photographs."""
