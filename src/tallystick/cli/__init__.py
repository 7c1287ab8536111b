"""The command line: one file per noun; heavy imports stand inside the functions that need them."""
