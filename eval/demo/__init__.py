"""Demo: all systems in a browser, on this machine."""
