"""What `facevc evaluate` measures: one metric a file."""
