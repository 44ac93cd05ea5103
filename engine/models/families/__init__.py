"""One file per family of base models; `load` picks it by the family's name."""
