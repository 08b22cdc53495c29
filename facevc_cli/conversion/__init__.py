"""One conversion: the converter, whose voice, voice cards."""
