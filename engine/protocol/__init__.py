"""The only package that the terminal and the engine both import: messages, parameters, wire, journal, files.

Depends on the standard library and msgspec alone, so that importing it costs milliseconds on either side.
"""

PROTOCOL = 1
"""Version of the wire and of the journal; bumped only for a breaking change."""
