"""One file a command: the work of that command as a plain function on a frozen config; no typer, no printing."""
