"""Tallystick as tools of an agent: a client of the SDK that speaks the Model Context Protocol."""
