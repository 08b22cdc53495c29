"""Additions to plain conversions that make a benchmark: protocols, baselines, damaged faces, labels."""
