"""One conversion: the converter, target voices and voice cards."""
