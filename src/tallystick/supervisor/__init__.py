"""Runs beside the training process; stdlib only; outlives the server."""
