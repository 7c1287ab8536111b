"""Looks at a data directory and its host, and names a mend for whatever it finds wrong."""
