"""Conversion of a microphone's sound while somebody speaks: devices, and the way of the sound between them."""
