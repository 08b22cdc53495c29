"""Converts speech while it is spoken: samples in, samples of another voice out, a fixed time later."""
