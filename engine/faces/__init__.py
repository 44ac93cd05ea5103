"""Face detectors: which there are, how each is asked, what its numbers say. Where to crop then is `dataset.crop`."""
