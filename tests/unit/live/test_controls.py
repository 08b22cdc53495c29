"""Keys."""

import os
import pty
import sys
from types import SimpleNamespace

import pytest

from facevc_cli.live.controls import Controls, has_keyboard, open_keyboard


@pytest.fixture
def session():
    made = SimpleNamespace(path=SimpleNamespace(muted=False), is_stopped=False, nexts=0)
    made.choose_next_voice = lambda: setattr(made, "nexts", made.nexts + 1)
    return made


def make(*pressed: str, push_to_talk: bool = False):
    keys, clock = list(pressed), SimpleNamespace(now=0.0)
    return Controls(lambda: keys.pop(0) if keys else "", push_to_talk, lambda: clock.now), clock


def test_keys(session):
    controls, _ = make("x?\x1b", "m", "", "Mn", "nq")
    muted = []
    for _ in range(5):
        controls(session)
        muted.append(session.path.muted)
    assert muted == [False, True, True, False, False] and session.nexts == 2 and session.is_stopped


def test_push_to_talk_holds_until_the_key_repeats_no_more(session):
    """The first repeat of a held key comes after up to .66 s, the others every .03 s."""
    controls, clock = make("", " ", "", " ", "  ", "", push_to_talk=True)
    heard = {}
    for now in (0.0, 1.0, 1.6, 1.65, 1.7, 1.94, 2.0):
        clock.now = now
        controls(session)
        heard[now] = not session.path.muted
    assert heard == {0.0: False, 1.0: True, 1.6: True, 1.65: True, 1.7: True, 1.94: True, 2.0: False}


def test_mute_counts_more_than_talk(session):
    controls, _ = make("m ", push_to_talk=True)
    controls(session)
    assert session.path.muted


def test_the_keys_are_told():
    assert make()[0].describe(False) == "Keys: m mutes, q ends."
    told = make(push_to_talk=True)[0].describe(True)
    assert told == "Keys: m mutes, hold the space bar to talk, n is the next voice, q ends."


def test_without_a_terminal_no_key_is_read(monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert not has_keyboard()
        with open_keyboard() as read:
            assert read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_a_terminal_gives_keys_without_enter_and_is_left_as_it_was(monkeypatch):
    import termios

    ours, theirs = pty.openpty()
    monkeypatch.setattr("facevc_cli.live.controls.has_keyboard", lambda: True)
    with open(theirs, closefd=True) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(theirs)
        with open_keyboard() as read:
            assert read() == ""
            os.write(ours, b"mn")
            keys = ""
            while len(keys) < 2:
                keys += read()
            assert keys == "mn" and read() == ""
            assert not termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO)
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
