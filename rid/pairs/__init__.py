"""Training pairs: images and their gradient-attacked versions."""
