"""Where agents meet Tallystick: the hook before their shell, and what is installed for them."""
