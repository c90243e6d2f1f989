"""Page that protects photos in the visitor's browser."""
