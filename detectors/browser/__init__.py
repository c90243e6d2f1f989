"""Page that judges images in the visitor's browser."""
