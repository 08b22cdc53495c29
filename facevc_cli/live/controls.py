"""The keys of a live session: mute, push to talk, next face, end."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facevc_cli.live.session import LiveSession

ReadKeys = Callable[[], str]  # the keys that were pressed since the last call
MUTE, TALK, NEXT, QUIT = "m", " ", "n", "q"
# A terminal does not tell when a key is released. It repeats a key that is held, after a while.
HELD_AT_FIRST_S, HELD_S = 0.7, 0.25


class Controls:
    """push_to_talk: only what is said while the space bar is held is heard."""

    def __init__(self, read_keys: ReadKeys, push_to_talk: bool, clock: Callable[[], float] = time.monotonic):
        self._read_keys, self.push_to_talk, self._clock = read_keys, push_to_talk, clock
        self.is_muted = False
        self._talks_until = 0.0

    def __call__(self, session: LiveSession) -> None:
        """Does what the pressed keys say."""
        now = self._clock()
        for key in self._read_keys().lower():
            if key == MUTE:
                self.is_muted = not self.is_muted
            elif key == TALK:
                repeated = now < self._talks_until
                self._talks_until = max(self._talks_until, now + (HELD_S if repeated else HELD_AT_FIRST_S))
            elif key == NEXT:
                session.choose_next_voice()
            elif key == QUIT:
                session.is_stopped = True
        session.path.muted = self.is_muted or (self.push_to_talk and now >= self._talks_until)

    def describe(self, several_voices: bool) -> str:
        """The keys, for people."""
        keys = ["m mutes"]
        keys += ["hold the space bar to talk"] if self.push_to_talk else []
        keys += ["n is the next voice"] if several_voices else []
        return f"Keys: {', '.join(keys)}, q ends."


def has_keyboard() -> bool:
    """Whether keys can be read: stdin is a terminal, and this process is in its foreground."""
    if not sys.stdin or not sys.stdin.isatty():
        return False
    return os.name == "nt" or os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


@contextmanager
def open_keyboard() -> Iterator[ReadKeys]:
    """Reads keys without Enter in this block, and shows none. Ctrl-C works as ever. Without a keyboard none is read."""
    if not has_keyboard():
        yield lambda: ""
        return
    if sys.platform == "win32":
        import msvcrt

        def read_windows() -> str:
            keys = ""
            while msvcrt.kbhit():
                keys += msvcrt.getwch()
            return keys

        yield read_windows
        return
    import select
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def read() -> str:
        keys = b""
        while select.select([number], [], [], 0)[0] and (more := os.read(number, 64)):
            keys += more
        return keys.decode(errors="replace")

    try:
        tty.setcbreak(number)
        yield read
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
