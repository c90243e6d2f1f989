"""Image files: decoding, encoding, metadata and edits."""
