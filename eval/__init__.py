"""Attacks, metrics, studies and reports that evaluate the defenses."""
