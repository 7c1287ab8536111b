"""Shapes that cross a process boundary: stdlib dataclasses, a field written once."""
