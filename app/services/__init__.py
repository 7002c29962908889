"""Rows in, rows out: the only place that writes SQL."""
