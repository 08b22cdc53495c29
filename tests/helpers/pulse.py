"""A PulseAudio of the test's own, without hardware: a null sink that loops what is played to whoever listens."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _finds_pulse_in_portaudio() -> bool:
    return all(importlib.util.find_spec(name) for name in ("sounddevice", "pulsectl")) and bool(
        shutil.which("pulseaudio")
    )


needs_pulse = pytest.mark.skipif(
    not _finds_pulse_in_portaudio(), reason="needs pulseaudio and the packages sounddevice and pulsectl"
)


@contextmanager
def run_pulseaudio(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a server with one null sink. The programs of this block find it by PULSE_SERVER."""
    server = f"unix:{folder / 'native'}"
    modules = [f"module-native-protocol-unix socket={folder / 'native'} auth-anonymous=1"]
    modules += ["module-null-sink sink_name=loop rate=48000", "module-always-sink"]
    command = ["pulseaudio", "--daemonize=no", "-n", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    command += ["--high-priority=no", "--realtime=no", "--log-level=error"]
    for module in modules:
        command += ["--load", module]
    given = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
    process = subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSE_SERVER", server)
        patch.setenv("PULSE_RUNTIME_PATH", str(folder))
        try:
            deadline = time.monotonic() + 10
            while not (folder / "native").exists() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)
            if process.poll() is not None:
                pytest.skip("pulseaudio does not start")
            yield process
        finally:
            process.kill()
            process.wait()
