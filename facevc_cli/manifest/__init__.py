"""What `convert` writes and `evaluate` reads."""
