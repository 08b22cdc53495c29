"""Ctrl-C, terminations and closed terminals.

The first Ctrl-C asks: loops finish what is in hand and then raise `Interrupted`. The second one drops: worker processes end, `Interrupted` is raised
at once, and what still runs after `DROP_S` is cut off. If nothing is in hand, the first one drops. A termination or a closed terminal always drops,
except in loops that take a termination for a Ctrl-C.

A thread of its own decides, because Python calls signal handlers in the main thread only, which may be busy in a library for minutes.
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

DROP_S = 1.4  # from a drop to the end of the process
END_S = 0.4  # what worker processes have for their temporary files
STOPPED = "Stopped. What is finished is kept; run the same command again to go on."
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


@dataclass(eq=False)
class _Hold:
    """A loop that finishes what it has in hand."""

    count: Callable[[], int]
    unit: str
    terminations: bool
    raises: bool
    begin_stop: Callable[[], None]

    def takes(self, number: int) -> bool:
        allowed = number == signal.SIGINT or (self.terminations and number == signal.SIGTERM)
        return allowed and (self.raises or self.count() > 0)

    def describe(self) -> str:
        count = self.count()
        return f"stopping, {count} {self.unit}{'s' * (count != 1)} in hand; Ctrl-C again drops {'it' if count == 1 else 'them'}" if count else ""


@dataclass
class _State:
    asked: int | None = None  # the signal that asked to stop
    dropping: int | None = None  # the signal that dropped what was in hand
    raise_now: int | None = None  # what the handler is to raise in the main thread, once
    deadline: float | None = None
    over: bool = False  # the command is done, Python ends
    said: bool = False
    shields: int = 0
    holds: list[_Hold] = field(default_factory=list)
    paths: dict[Path, None] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None
    sent: int = 0  # signals that we sent to the main thread


_state = _State()
_leaving = threading.Lock()


def stop_requested() -> bool:
    """Whether loops are to begin nothing new."""
    return _state.asked is not None or _state.dropping is not None


def is_dropping() -> bool:
    """Whether what is in hand is given up."""
    return _state.dropping is not None


def exit_code() -> int:
    """Of a command that was stopped."""
    return 128 + (_state.dropping or _state.asked or signal.SIGINT)


def check_stop() -> None:
    """Raises Interrupted where a stop was asked for."""
    number = _state.dropping or _state.asked
    if number is not None:
        _state.raise_now = None
        raise Interrupted(number)


@contextmanager
def hold(
    count: Callable[[], int], unit: str = "file", *, terminations: bool = False, raises: bool = False, begin_stop: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """While in here, the first Ctrl-C only asks to stop, as long as `count` of what is in hand is above 0.

    terminations: the same for SIGTERM. raises: the first one is raised here, also if nothing is in hand. begin_stop: called by the first one, in
    another thread.
    """
    held = _Hold(count, unit, terminations, raises, begin_stop)
    _state.holds.append(held)
    try:
        yield
    finally:
        _state.holds.remove(held)


@contextmanager
def finish_in_hand(
    count: Callable[[], int], unit: str = "file", *, terminations: bool = False, begin_stop: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """`hold`, and Interrupted at its end if a stop was asked for."""
    with hold(count, unit, terminations=terminations, begin_stop=begin_stop):
        yield
    check_stop()


@contextmanager
def shielded() -> Iterator[None]:
    """No Interrupted is raised in the middle of this, only at its end: for calls that leave a broken state behind, as HDF5's do."""
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
def removed_if_dropped(path: Path) -> Iterator[None]:
    """A temporary file or folder that does not stay behind if the process is cut off in here."""
    _state.paths[path] = None
    try:
        yield
    finally:
        _state.paths.pop(path, None)


def remove_dropped() -> None:
    """Removes the temporary files of everything in hand."""
    for path in list(_state.paths):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def tell_by(tell: Callable[[str], None] | None) -> None:
    """How the user is told; None: a line on stderr."""
    _state.tell = tell


def mark_told() -> None:
    """The caller has told that the command stopped."""
    _state.said = True


@contextmanager
def signals_heard() -> Iterator[None]:
    """Handles the signals while a command runs. Signals that the process was told to ignore, as by nohup, stay ignored."""
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
        _say_stopped()
    except SystemExit as end:
        if not stop_requested():
            raise
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        _state.over = True
    if code is not None:  # all is saved: threads that still work are not waited for
        _leave_children_alone()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _leave(code)


def _handle(number: int, frame: FrameType | None) -> None:
    if not _state.shields and not _state.over:
        _raise_pending()


def _raise_pending() -> None:
    number, _state.raise_now = _state.raise_now, None
    if number is not None:
        _leave_children_alone()
        raise Interrupted(number)


def _leave_children_alone() -> None:
    """Lets no handler complain that worker processes end, as torch's does: they are about to."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _watch(reader: socket.socket, heard: frozenset[int]) -> None:
    while True:
        left = None if _state.deadline is None else max(0.0, _state.deadline - time.monotonic())
        if left == 0.0 or not select.select([reader], [], [], left)[0]:
            _say_stopped()
            _leave(exit_code())
        for number in reader.recv(64):
            if number in heard and _state.sent:
                _state.sent -= 1
            elif number in heard:
                _decide(number)


def _decide(number: int) -> None:
    if _state.dropping is not None:
        return
    held = _state.holds[-1] if _state.holds else None
    if _state.asked is None and held is not None and held.takes(number):
        _state.asked = number
        if text := held.describe():
            _tell(text)
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
    if hasattr(signal, "pthread_kill"):  # a true signal: it wakes a main thread that waits
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def end_processes(processes: Sequence[BaseProcess]) -> None:
    """Ends worker processes: first so that they remove their temporary files, then at once."""
    until = time.monotonic() + END_S
    while (alive := [process for process in processes if process.is_alive()]) and time.monotonic() < until:
        for process in alive:  # again and again: a termination by the system, which workers ignore, can swallow one of ours
            process.terminate()
        time.sleep(0.05)
    for process in processes:
        process.kill()


def _leave(code: int) -> None:
    if not _leaving.acquire(blocking=False):
        time.sleep(60)  # the other thread is at it
    end_processes(active_children())
    remove_dropped()
    # multiprocessing's semaphores and folders would stay behind. In a thread: what was cut off may hold a lock that this waits for.
    cleaning = threading.Thread(target=clean_multiprocessing, daemon=True)
    cleaning.start()
    cleaning.join(0.3)
    os._exit(code)


def clean_multiprocessing() -> None:
    """Removes the semaphores and temporary folders of this process, as Python's own end would."""
    for least_priority in (0, -100):
        with suppress(Exception):
            util._run_finalizers(least_priority)  # type: ignore[attr-defined]


def _say_stopped() -> None:
    if not _state.said:
        _state.said = True
        _tell(STOPPED, plainly=True)


def _tell(text: str, plainly: bool = False) -> None:
    with suppress(Exception):
        if _state.tell is not None and not plainly:
            _state.tell(text)
        else:
            os.write(2, f"{text}\n".encode())
