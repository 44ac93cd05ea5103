"""Base models: the catalogue, what a file is before anything loads it, and loading it."""
