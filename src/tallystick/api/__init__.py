"""HTTP: the only part that speaks the framework."""
