"""Errors, progress, plug-ins, devices, worker processes, memory that runs out, and Ctrl-C."""
