"""Errors, settings, progress, plug-ins, devices, worker processes, out-of-memory errors, and Ctrl-C."""
