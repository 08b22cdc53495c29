"""The tests; a package, so that worker processes find functions of theirs whatever else is called `tests`."""
