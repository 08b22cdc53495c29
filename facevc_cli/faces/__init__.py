"""Finds a face in a picture, and describes it with numbers."""
