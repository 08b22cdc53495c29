"""Imagined faces: whether they lead back to their voices, how they differ, and how near they are to real faces."""
