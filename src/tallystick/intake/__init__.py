"""Readers of what jobs log: bytes in, points out. Pure; a reader never raises on noise."""
