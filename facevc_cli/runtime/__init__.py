"""The machine: which device, how many threads and processes, the seed, memory that runs out, and Ctrl-C."""

from facevc_cli.runtime.devices import bfloat16_pays, resolve_device, seed_everything
from facevc_cli.runtime.memory import memory_errors_told
from facevc_cli.runtime.tuning import collect_seldom, default_jobs, keep_memory, lone_threads, one_thread, undrawn
from facevc_cli.runtime.workers import Workers, parallel_map

__all__ = [
    "Workers", "bfloat16_pays", "collect_seldom", "default_jobs", "keep_memory", "lone_threads", "memory_errors_told", "one_thread", "parallel_map",
    "resolve_device", "seed_everything", "undrawn",
]  # fmt: skip
