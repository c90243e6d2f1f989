"""Human test: people judge images in a browser."""
