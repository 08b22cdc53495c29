"""Mark converted speech: metadata that say what made it, and an inaudible watermark that survives them."""
