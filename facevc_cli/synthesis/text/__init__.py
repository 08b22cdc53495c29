"""The text that an engine gets: normalised, and split into sentences with pauses."""
