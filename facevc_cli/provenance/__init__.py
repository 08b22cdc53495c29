"""Converted speech says that it is: metadata that tell what made it, and an inaudible watermark that outlives them."""
