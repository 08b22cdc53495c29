"""The virtual microphone, with a real PulseAudio that has no hardware."""

import os
import subprocess
import sys
import time

import pytest
from helpers.pulse import needs_pulse, run_pulseaudio

from facevc_cli.core.errors import FaceVCError
from facevc_cli.live.virtual_mic import open_virtual_mic

pytestmark = [needs_pulse, pytest.mark.slow]
HOLD = """
import time
from facevc_cli.live.virtual_mic import open_virtual_mic
with open_virtual_mic():
    print("made", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def pulse(tmp_path):
    import pulsectl

    with run_pulseaudio(tmp_path), pulsectl.Pulse("test") as pulse:
        yield pulse


def list_ours(pulse) -> list[str]:
    names = [one.name for one in (*pulse.sink_list(), *pulse.source_list())]
    return sorted(name for name in names if name.startswith("facevc"))


def test_no_server(monkeypatch, tmp_path):
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path / 'none'}")
    with pytest.raises(FaceVCError, match="needs PulseAudio or PipeWire"), open_virtual_mic():
        pass


def test_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(FaceVCError, match="BlackHole"), open_virtual_mic():
        pass


def test_it_is_there_and_gone_again_also_after_an_interruption(pulse):
    pid = os.getpid()
    with pytest.raises(KeyboardInterrupt), open_virtual_mic() as made:
        assert list_ours(pulse) == [f"facevc_mic_{pid}", f"facevc_sink_{pid}", f"facevc_sink_{pid}.monitor"]
        source = pulse.get_source_by_name(made.source)
        assert source.description.replace("_", " ") == "facevc microphone"
        raise KeyboardInterrupt
    assert list_ours(pulse) == []


def test_what_a_killed_process_left_goes_at_the_next_start(pulse):
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "made\n"
    with open_virtual_mic():
        assert len(list_ours(pulse)) == 6  # one that runs is left alone
    process.kill()
    process.wait()
    assert len(list_ours(pulse)) == 3
    with open_virtual_mic():
        assert len(list_ours(pulse)) == 3
    assert list_ours(pulse) == []


def test_a_server_that_ends_meanwhile_is_no_second_error(tmp_path):
    with run_pulseaudio(tmp_path) as process, open_virtual_mic():
        process.kill()
        process.wait()
        time.sleep(0.2)
