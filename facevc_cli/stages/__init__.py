"""The work of each command: one file per command, with one function on a frozen configuration. Stages do not print."""
