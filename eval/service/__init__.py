"""Service: protected photos, verdicts and matches over HTTP."""
