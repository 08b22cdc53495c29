"""Python programs as forks of one process that has imported what they need. An import of torch alone takes seconds, and
the recipes start dozens of programs.

CI's run of the toy recipe starts them as anybody does.
"""

import atexit
import functools
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

# what commands import on their way; an optimiser the last
LATER = ("accelerate", "av", "dlib", "matplotlib.pyplot", "pyworld", "soundfile", "soxr", "torch._dynamo")
PROGRAM = """#!/bin/sh
case "$1" in -*) [ "{name}" = facevc ] || exec "{python}" "$@" ;; esac
exec "{python}" -ISB "{client}" "{socket}" {words} "$@"
"""
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(sys.argv[1])
    asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [asked], [0, 1, 2])
    told = server.recv(16)
sys.exit(int(told) if told else f"{sys.argv[2]} died")
"""


@functools.cache
def find_programs() -> Path:
    """A folder with `facevc` and `python3`, for the PATH. Elsewhere than on Linux they are those of this Python."""
    if sys.platform != "linux":
        return Path(sys.executable).parent
    kept = tempfile.TemporaryDirectory(prefix="facevc-tests-")
    folder = Path(kept.name)
    listens, client = folder / "socket", folder / "client.py"
    client.write_text(CLIENT)
    (folder / "bin").mkdir()
    for name, words in (("facevc", "facevc"), ("python3", "")):
        program = folder / "bin" / name
        program.write_text(PROGRAM.format(name=name, python=sys.executable, client=client, socket=listens, words=words))
        program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, str(listens)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin and server.stdout and server.stdout.readline() == "ready\n"

    def stop() -> None:
        server.communicate()
        kept.cleanup()

    atexit.register(stop)
    return folder / "bin"


def serve(path: str) -> None:
    """Answers until standard input ends."""
    for name in LATER:
        importlib.import_module(name)
    import facevc_cli.stages as stages

    for module in pkgutil.iter_modules(stages.__path__):
        importlib.import_module(f"facevc_cli.stages.{module.name}")
    importlib.import_module("facevc_cli.cli.app")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while 0 not in select.select([0, listener], [], [])[0]:
            asked, _ = listener.accept()
            message, files, _, _ = socket.recv_fds(asked, 1 << 20, 3)
            if os.fork() == 0:
                listener.close()
                answer(asked, *json.loads(message), files)
            for file in (*files, asked.detach()):
                os.close(file)


def answer(asked: socket.socket, words: list[str], folder: str, environment: dict[str, str], files: list[int]) -> None:
    """Runs one program to its end, in this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    code: object = 1
    try:
        if words[0] == "facevc":
            from facevc_cli.__main__ import main

            main()
        else:
            sys.path[0] = str(Path(words[0]).resolve().parent)
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = 0 if stop.code is None else stop.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        asked.send(str(code).encode())
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
