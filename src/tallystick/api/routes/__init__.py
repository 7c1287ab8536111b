"""The routes, by noun; each module lists its endpoints."""
