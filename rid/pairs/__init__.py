"""Training pairs by gradient ascent."""
