"""Everything of LoRABake that works without a terminal: datasets, queue, estimate, training, previews.

Knows no widget; the terminal package imports only `engine.protocol` from here.
"""

from engine import libraries

__version__ = "0.1.0"

libraries.install()
