"""Networks that describe a voice or its words: d-vectors, and Whisper's encoder."""
