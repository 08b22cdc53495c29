"""Arrays in, arrays out: log-mel, F0, level, windows, the front-end. Nothing here opens a file."""
