"""The embedded demo: where its base model, tagger, sample dataset and regularisation set lie. Imports nothing heavy."""

from engine.demo.paths import BASE, DATASET, REG, TAGGER, where

__all__ = ["BASE", "DATASET", "REG", "TAGGER", "where"]
