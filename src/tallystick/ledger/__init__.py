"""The append-only log; knows bytes, not runs."""
