"""What is put beside plain conversions: protocols, baselines, damaged faces, labels."""
