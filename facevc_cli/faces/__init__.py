"""Finding a face in a picture, and describing it with numbers."""
