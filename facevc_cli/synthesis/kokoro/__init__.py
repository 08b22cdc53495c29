"""Kokoro-82M, a network that speaks phonemes in a style."""
