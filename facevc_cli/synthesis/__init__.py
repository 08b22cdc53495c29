"""Text to speech: engines, and the text that they get."""
