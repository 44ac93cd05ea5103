"""Automatic tagging: taggers and their contracts, scores kept beside the dataset, and captions made of them.

Only `session` and `captioner` import a runtime of models; everything else may be used by the host.
"""
