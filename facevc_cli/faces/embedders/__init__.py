"""The networks that describe a face with numbers, by the name that `--embedder` takes."""
