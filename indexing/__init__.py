"""Active Indexing: images changed imperceptibly so that copy detection finds them again."""
