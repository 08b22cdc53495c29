"""One file per metric or family of metrics."""
