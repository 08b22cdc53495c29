"""Conversion for other programs: its steps as ONNX files, and a voice as numbers."""
