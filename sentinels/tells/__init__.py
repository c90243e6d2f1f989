"""Tells: what gives sentinels away to somebody who looks for them.

``verify`` warns of each tell, and ``eval rag-robustness`` has a thief use it.
"""
