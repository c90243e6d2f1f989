"""The demo: what the systems do, tried out in a browser on pictures that stay on this machine."""
