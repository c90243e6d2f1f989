"""Studies: protection, purification, retrieval, and retrieval-augmented generation."""
