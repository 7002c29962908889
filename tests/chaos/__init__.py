"""Breaks the running service at random moments and at every step, and looks what became of the imports."""
