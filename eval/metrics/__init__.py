"""Measures of protection and of picture quality."""
