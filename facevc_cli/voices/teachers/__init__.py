"""Networks that hear voices in training only."""
