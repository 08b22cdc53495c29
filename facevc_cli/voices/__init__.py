"""What hears a voice: d-vectors, and Whisper's encoder."""
