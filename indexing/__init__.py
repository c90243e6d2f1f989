"""Active Indexing: imperceptible image changes that aid copy detection."""
