"""Networks that judge voices in training only."""
