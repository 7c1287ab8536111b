"""Public helpers for our tests and for authors of backends."""
