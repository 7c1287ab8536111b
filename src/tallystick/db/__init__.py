"""One transaction at a time, on two databases."""
