"""Widgets that know terminals and cells, not datasets or runs."""
