"""Timings side by side: each module measures one thing against a yardstick on the same machine and prints the ratio."""
