"""Ctrl-C, terminations and closed terminals.

The first Ctrl-C asks for a stop: loops finish the work in hand, then raise `Interrupted`. The second one drops that
work: worker processes end, `Interrupted` is raised at once, and after `DROP_S` the process ends whatever still runs. If
no work is in hand, the first Ctrl-C drops. A termination or a closed terminal always drops, except in loops that treat
a termination like Ctrl-C.

A separate thread decides. Python calls signal handlers in the main thread only, and that thread may be busy in a
library for minutes.
"""

import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import active_children, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from facevc_cli.core.errors import Interrupted

DROP_S = 1.4  # from the drop to the end of the process
END_S = 0.4  # time for worker processes to delete their temporary files
STOPPED = "Stopped. What is finished is kept; run the same command again to go on."
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


@dataclass(eq=False)
class _Hold:
    """A loop that finishes the work in hand before it stops."""

    count: Callable[[], int]
    unit: str
    terminations: bool
    raises: bool
    begin_stop: Callable[[], None]

    def accepts(self, number: int) -> bool:
        allowed = number == signal.SIGINT or (self.terminations and number == signal.SIGTERM)
        return allowed and (self.raises or self.count() > 0)

    def describe(self) -> str:
        count = self.count()
        return (
            (
                f"stopping, {count} {self.unit}{'s' * (count != 1)} in hand; Ctrl-C again drops "
                f"{'it' if count == 1 else 'them'}"
            )
            if count
            else ""
        )


@dataclass
class _State:
    asked: int | None = None  # the signal that asked for a stop
    dropping: int | None = None  # the signal that dropped the work in hand
    raise_now: int | None = None  # the signal for which the handler raises once in the main thread
    deadline: float | None = None
    over: bool = False  # the command is done and Python is exiting
    reported: bool = False
    shields: int = 0
    holds: list[_Hold] = field(default_factory=list)
    paths: dict[Path, None] = field(default_factory=dict)
    report: Callable[[str], None] | None = None
    sent: int = 0  # number of signals that we sent to the main thread


_state = _State()
_exiting = threading.Lock()


def stop_requested() -> bool:
    """Whether loops must start no new work."""
    return _state.asked is not None or _state.dropping is not None


def is_dropping() -> bool:
    """Whether the work in hand is dropped."""
    return _state.dropping is not None


def get_exit_code() -> int:
    """The exit code of a stopped command."""
    return 128 + (_state.dropping or _state.asked or signal.SIGINT)


def check_stop() -> None:
    """Raise Interrupted if a stop was requested."""
    number = _state.dropping or _state.asked
    if number is not None:
        _state.raise_now = None
        raise Interrupted(number)


@contextmanager
def hold(
    count: Callable[[], int],
    unit: str = "file",
    *,
    terminations: bool = False,
    raises: bool = False,
    begin_stop: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Inside this block the first Ctrl-C only asks for a stop, as long as `count()` items are in hand.

    terminations: treat SIGTERM the same way. raises: raise the first one here, even if nothing is in hand. begin_stop:
    called at the first one, in another thread.
    """
    held = _Hold(count, unit, terminations, raises, begin_stop)
    _state.holds.append(held)
    try:
        yield
    finally:
        _state.holds.remove(held)


@contextmanager
def finish_in_hand(
    count: Callable[[], int],
    unit: str = "file",
    *,
    terminations: bool = False,
    begin_stop: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Like `hold`, but raise Interrupted at the end if a stop was requested."""
    with hold(count, unit, terminations=terminations, begin_stop=begin_stop):
        yield
    check_stop()


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Raise Interrupted only at the end of this block. Use it around calls that must not be cut off, such as HDF5's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
    _raise_pending()


@contextmanager
def remove_if_dropped(path: Path) -> Iterator[None]:
    """Remove a temporary file or folder if the process is cut off inside this block."""
    _state.paths[path] = None
    try:
        yield
    finally:
        _state.paths.pop(path, None)


def remove_dropped() -> None:
    """Remove the temporary files of all work in hand."""
    for path in list(_state.paths):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def set_stop_reporter(report: Callable[[str], None] | None) -> None:
    """Set the function that reports a stop to the user. None: write a line to stderr."""
    _state.report = report


def mark_stop_reported() -> None:
    """Note that the caller has already reported the stop."""
    _state.reported = True


@contextmanager
def handle_signals() -> Iterator[None]:
    """Handle the signals while a command runs.

    A signal that the process ignores, for example under nohup, stays ignored.
    """
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in heard:
        signal.signal(number, _handle)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, frozenset(heard)), name="signals", daemon=True).start()
    code: int | None = None
    try:
        yield
    except Interrupted as stop:
        code = stop.exit_code
        _report_stop()
    except SystemExit as end:
        if not stop_requested():
            raise
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        _state.over = True
    if code is not None:  # everything is saved, so do not wait for threads that still work
        _ignore_child_exits()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _exit_process(code)


def _handle(number: int, frame: FrameType | None) -> None:
    if not _state.shields and not _state.over:
        _raise_pending()


def _raise_pending() -> None:
    number, _state.raise_now = _state.raise_now, None
    if number is not None:
        _ignore_child_exits()
        raise Interrupted(number)


def _ignore_child_exits() -> None:
    """Remove handlers that complain when worker processes end, such as torch's. They are about to end."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _watch(reader: socket.socket, heard: frozenset[int]) -> None:
    while True:
        left = None if _state.deadline is None else max(0.0, _state.deadline - time.monotonic())
        if left == 0.0 or not select.select([reader], [], [], left)[0]:
            _report_stop()
            _exit_process(get_exit_code())
        for number in reader.recv(64):
            if number in heard and _state.sent:
                _state.sent -= 1
            elif number in heard:
                _begin_stop(number)


def _begin_stop(number: int) -> None:
    if _state.dropping is not None:
        return
    held = _state.holds[-1] if _state.holds else None
    if _state.asked is None and held is not None and held.accepts(number):
        _state.asked = number
        if text := held.describe():
            _report(text)
        held.begin_stop()
        if held.raises:
            _raise_in_main(number)
        return
    _state.deadline = time.monotonic() + (0.0 if _state.over else DROP_S)
    _state.dropping = number
    _raise_in_main(number)
    end_processes(active_children())


def _raise_in_main(number: int) -> None:
    _state.raise_now, _state.sent = number, _state.sent + 1
    if hasattr(signal, "pthread_kill"):  # a real signal wakes a main thread that waits
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def end_processes(processes: Sequence[BaseProcess]) -> None:
    """End worker processes: terminate them so that they can delete temporary files, then kill them."""
    until = time.monotonic() + END_S
    while (alive := [process for process in processes if process.is_alive()]) and time.monotonic() < until:
        for process in alive:  # repeated: a termination by the system, which workers ignore, can swallow ours
            process.terminate()
        time.sleep(0.05)
    for process in processes:
        process.kill()


def _exit_process(code: int) -> None:
    if not _exiting.acquire(blocking=False):
        time.sleep(60)  # another thread is already exiting
    end_processes(active_children())
    remove_dropped()
    # Otherwise multiprocessing's semaphores and folders stay behind. A thread does it, because dropped work may hold a
    # lock that this needs.
    cleaning = threading.Thread(target=clean_multiprocessing, daemon=True)
    cleaning.start()
    cleaning.join(0.3)
    os._exit(code)


def clean_multiprocessing() -> None:
    """Remove the semaphores and temporary folders of this process, as a normal exit of Python does."""
    for least_priority in (0, -100):
        with suppress(Exception):
            util._run_finalizers(least_priority)  # type: ignore[attr-defined]


def _report_stop() -> None:
    if not _state.reported:
        _state.reported = True
        _report(STOPPED, plainly=True)


def _report(text: str, plainly: bool = False) -> None:
    with suppress(Exception):
        if _state.report is not None and not plainly:
            _state.report(text)
        else:
            os.write(2, f"{text}\n".encode())
