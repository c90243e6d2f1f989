"""Attacks, metrics and reports that show what a protection is worth."""
