"""What the server does on its own, and the one road in."""
