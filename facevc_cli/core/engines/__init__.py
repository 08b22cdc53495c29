"""Where the items of a command are worked on: processes of this machine, Ray, Slurm.

Each file but `base`, `chunk` and `registry` is an engine. It has a function `make_engine`, and imports its library only
inside.
"""
