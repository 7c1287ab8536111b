"""One behaviour suite per seam, run over every implementation."""
