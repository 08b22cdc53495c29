"""FVMVC: memory-based face-voice alignment on VQMIVC, and the starter's variants of its parts."""
