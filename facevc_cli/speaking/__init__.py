"""Texts spoken in the voices of faces."""
