"""What a command line would do, as far as can be read without running it; pure."""
