"""core/stopping.py, workers.py: Ctrl-C once and twice, terminations, closed terminals; what is in hand, what is left,
how soon.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]

# A command of twelve items; each writes its temporary file, works, and renames it. What the reader got is saved at the
# end.
COMMAND = """
import signal, sys, threading, time
from pathlib import Path
from facevc_cli.cli.report import run_stage
from facevc_cli.files.atomic import atomic_path
from facevc_cli.core.stopping import handle_signals
from facevc_cli.core.workers import Workers
from facevc_cli.core.progress import Summary
import typer

folder, jobs, seconds, rest = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]

def work(number):
    with atomic_path(folder / f"{number}.txt") as temporary:
        temporary.write_text("half")
        (folder / f"begun-{number}").touch()
        time.sleep(seconds)
        temporary.write_text("whole")
    return number

def stage(reporter):
    reporter.begin(12, "files", "stage")
    if rest == "thread":
        threading.Thread(target=time.sleep, args=(1000,)).start()
    got = []
    try:
        with Workers(jobs) as workers:
            for number, result, error in workers.map(work, range(12)):
                got.append(number)
                (folder / "got").write_text(" ".join(map(str, got)))
    finally:
        (folder / "saved").touch()
    return Summary(done=len(got))

def command():
    run_stage(stage)

if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner may have been told to ignore these
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with handle_signals():
        app([])
"""


class Started:
    """The command in a process group of its own, as a terminal starts it."""

    def __init__(self, folder: Path, jobs: int = 2, seconds: float = 0.3, rest: str = "-"):
        self.folder = folder / "out"
        self.folder.mkdir()
        (folder / "command.py").write_text(COMMAND)
        self.sent_s = self.took_s = 0.0
        with open(folder / "stderr", "w") as self.stderr:
            command = [sys.executable, str(folder / "command.py"), str(self.folder), str(jobs), str(seconds), rest]
            self.process = subprocess.Popen(command, stderr=self.stderr, start_new_session=True)

    def wait_for(self, pattern: str, count: int = 1) -> None:
        deadline = time.monotonic() + 120
        while len(list(self.folder.glob(pattern))) < count:
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.01)

    def send(self, number: int) -> None:
        self.sent_s = time.monotonic()
        os.killpg(self.process.pid, number)

    def end(self, within_s: float = 60.0) -> int:
        """The exit code.

        Nothing of the group runs on, no temporary file is left, and nothing looks like a traceback.
        """
        try:
            code = self.process.wait(within_s)
            self.took_s = time.monotonic() - self.sent_s
        finally:
            if self.process.poll() is None:
                self.send(signal.SIGKILL)
        deadline = time.monotonic() + 5
        while _is_running(self.process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _is_running(self.process.pid)
        assert not list(self.folder.glob(".*")) and "Traceback" not in self.said() and "ignored" not in self.said()
        return code

    def said(self) -> str:
        return Path(self.stderr.name).read_text()

    def got(self) -> list[int]:
        return sorted(map(int, (self.folder / "got").read_text().split()))

    def whole(self) -> list[int]:
        """The files that are there; none of them half."""
        files = list(self.folder.glob("*.txt"))
        assert {file.read_text() for file in files} <= {"whole"}
        return sorted(int(file.stem) for file in files)


def _is_running(group: int) -> bool:
    """Whether any process of the group does more than wait to be reaped."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout.split("\n")
    return any(line.split()[0] == str(group) and "Z" not in line.split()[1] for line in found if line.strip())


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_ctrl_c_finishes_what_is_in_hand(tmp_path, jobs):
    started = Started(tmp_path, jobs)
    started.wait_for("begun-*", 4)
    started.send(signal.SIGINT)
    assert started.end() == 130
    begun = sorted(int(path.name.split("-")[1]) for path in started.folder.glob("begun-*"))
    assert (
        started.got() == started.whole() == begun and 4 <= len(begun) <= 4 + 2 * jobs
    )  # all that was begun is finished, and was given out
    assert (
        f"stopping, {jobs} file{'s' * (jobs > 1)} in hand; Ctrl-C again drops {'them' if jobs > 1 else 'it'}\n"
        in started.said()
    )
    assert "Stopped. What is finished is kept" in started.said()


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_second_ctrl_c_drops_it_within_two_seconds(tmp_path, jobs):
    started = Started(tmp_path, jobs, seconds=100.0)
    started.wait_for("begun-*", jobs)
    started.send(signal.SIGINT)
    time.sleep(0.5)
    assert started.process.poll() is None and f"stopping, {jobs} file" in started.said()
    started.send(signal.SIGINT)
    assert started.end() == 130 and started.whole() == []
    assert started.took_s < 2 + 1  # 1: a busy machine
    assert (started.folder / "saved").exists()  # what was done before is kept, also then


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("to_group", [True, False])
def test_a_termination_and_a_closed_terminal_drop_at_once(tmp_path, number, code, to_group):
    started = Started(tmp_path, seconds=100.0)
    started.wait_for("begun-*", 2)
    started.sent_s = time.monotonic()
    started.send(number) if to_group else started.process.send_signal(number)
    assert started.end() == code and started.took_s < 3
    assert "Stopped." in started.said() and "died" not in started.said()


def test_a_thread_that_goes_on_does_not_keep_the_process(tmp_path):
    started = Started(tmp_path, jobs=1, seconds=0.3, rest="thread")
    started.wait_for("begun-*")
    started.send(signal.SIGINT)
    assert started.end() == 130 and started.took_s < 3


@pytest.mark.parametrize("seed", range(6))
def test_any_moment_will_do(tmp_path, seed):
    """Two at random: while Python loads, workers start, items are worked on, or all is done."""
    rng = random.Random(seed)
    started = Started(tmp_path, seconds=0.1)
    while started.process.poll() is None and "stage:" not in started.said():  # before that it is Python's own start
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 2.5))
    for _ in range(2):
        if started.process.poll() is None:
            started.send(signal.SIGINT)
            time.sleep(rng.uniform(0.01, 0.3))
    code = started.end(10)
    assert code in (130, 0) or (
        code == -signal.SIGINT and "12 done" in started.said()
    )  # Python's own end cannot be caught


def test_who_ignores_ctrl_c_goes_on_ignoring_it():
    code = """
import os, signal
from facevc_cli.core.stopping import handle_signals
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with handle_signals():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGHUP)
    print("still here")
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "still here\n"
    )


def test_ctrl_c_while_the_command_line_loads_is_silent():
    code = """
import os, runpy, signal, sys
class Interrupting:
    def find_spec(self, name, *rest):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("facevc_cli", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
