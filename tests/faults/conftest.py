"""The home and host fixtures, for every test of faults."""

from tests.engine_processes import home, host

__all__ = ["home", "host"]
