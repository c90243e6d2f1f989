"""The human test: people judge pictures in a browser, and their answers are counted as a detector's are."""
