"""Many conversions: which ones, what is done already, the pipeline."""
