"""The six sections, one module each; they compose widgets and wire them to the engine client, and no more."""
