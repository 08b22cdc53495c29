"""The command line: parses, reports, maps errors to exit codes. Only this package knows typer and rich."""
