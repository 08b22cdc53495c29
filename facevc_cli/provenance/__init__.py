"""Marks converted speech: metadata that describe the conversion, and an inaudible watermark that survives them."""
