"""Microphones and loudspeakers: which one is meant, what is said if it does not work, and what they are given."""

import builtins
import sys
import time

import numpy as np
import pytest
from helpers.fake_portaudio import FakePortAudio, PortAudioError, device

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.live import devices as module
from facevc_cli.live.cards import choose_cards
from facevc_cli.live.devices import PortAudioDevice, find_device, list_devices

LAPTOP = (device("Built-in Microphone", 2, 0), device("Built-in Output", 0, 2), device("USB Headset", 1, 2))


@pytest.fixture
def sound(monkeypatch):
    def use(*devices, **options) -> FakePortAudio:
        made = FakePortAudio(*devices, **options)
        monkeypatch.setattr(module, "load_portaudio", lambda: made)
        return made

    return use


def test_portaudio_that_is_missing(monkeypatch):
    imported = builtins.__import__

    def fail(name, *given, **more):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return imported(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(FaceVCError, match="sudo apt install libportaudio2"):
        module.load_portaudio()


@pytest.mark.parametrize("direction", ["input", "output"])
def test_no_device_at_all(sound, direction):
    sound(device("Other", 0, 2) if direction == "input" else device("Other", 2, 0))
    what = "microphone" if direction == "input" else "loudspeaker"
    with pytest.raises(FaceVCError, match=f"no {what} was found.*--simulate"):
        find_device(None, direction, list_devices())


def test_a_word_that_fits_none_or_several(sound):
    sound(*LAPTOP, device("USB Camera", 1, 0))
    with pytest.raises(UsageError, match=r"--input cable: no microphone.*0 Built-in Microphone, 2 USB Headset, 3 USB"):
        find_device("cable", "input", list_devices())
    with pytest.raises(UsageError, match="--input usb fits several: 2 USB Headset, 3 USB Camera"):
        find_device("usb", "input", list_devices())
    with pytest.raises(UsageError, match="no loudspeaker"):
        find_device("0", "output", list_devices())  # it is a microphone


def test_number_part_of_a_name_and_default(sound):
    sound(*LAPTOP, device("USB", 1, 0), default=(0, 1))
    found = list_devices()
    assert find_device("headSET", "output", found).number == 2
    assert find_device("2", "input", found).name == "USB Headset"
    assert find_device("usb", "input", found).number == 3  # the whole name
    assert (find_device(None, "input", found).number, find_device(None, "output", found).number) == (0, 1)


def test_no_default_takes_the_first_that_can(sound):
    sound(*LAPTOP, default=(-1, -1))
    assert find_device(None, "output", list_devices()).number == 1


def test_windows_lists_a_device_once_for_each_interface(sound):
    name = "CABLE Input (VB-Audio Virtual Cable)"
    sound(
        device(name[:31], 0, 2, 0), device(name, 0, 2, 1), device(name, 0, 2, 2),
        hosts=("MME", "Windows DirectSound", "Windows WASAPI"),
    )  # fmt: skip
    assert find_device("cable", "output", list_devices()).number == 2


def open_laptop(sound, **options) -> tuple[FakePortAudio, PortAudioDevice]:
    made = sound(*LAPTOP, default=(0, 1), **options)
    return made, choose_cards(None, None, False, False).open(22050)


def test_a_busy_device(sound):
    made, opened = open_laptop(sound)
    made.busy.add(1)
    with pytest.raises(FaceVCError, match="loudspeaker 1 Built-in Output is busy or was unplugged"):
        opened.start(lambda *given: None, lambda count, heard: np.zeros(count, np.float32))
    opened.stop()


def test_a_rate_that_is_refused_is_the_device_s_own_instead(sound):
    _, opened = open_laptop(sound, rates={0: (44100, 48000)})
    assert (opened.in_rate, opened.out_rate) == (48000, 22050)
    with pytest.raises(FaceVCError, match="takes no rate or number of channels"):
        open_laptop(sound, rates={0: (96000,)})


def test_channels_that_are_refused(sound):
    made, opened = open_laptop(sound, channels={0: (2,), 1: (2,)})
    heard = []
    opened.start(lambda block, at: heard.append(block), lambda count, at: np.full(count, 0.5, np.float32))
    speaker, microphone = made.streams
    stereo = np.tile(np.array([0.2, 0.4], np.float32), (220, 1))
    microphone.call(stereo)
    np.testing.assert_allclose(heard[0], 0.3, rtol=1e-6)
    assert speaker.call().tolist() == [[0.5, 0.5]] * 220
    opened.stop()


def test_blocks_times_and_clipping(sound):
    made, opened = open_laptop(sound)
    captured, asked = [], []

    def play(count, heard_s):
        asked.append((count, heard_s))
        return np.full(count, 1.5, np.float32)

    opened.start(lambda block, at: captured.append((len(block), at)), play)
    speaker, microphone = made.streams
    assert microphone.given["blocksize"] == 220 and microphone.given["samplerate"] == 22050
    before = time.monotonic()
    assert (speaker.call(late_s=0.02) == 1).all()
    microphone.call(late_s=0.03, status=True)
    after = time.monotonic()
    assert before + 0.02 <= asked[0][1] <= after + 0.02 and asked[0][0] == 220
    assert before - 0.03 <= captured[0][1] <= after - 0.03
    microphone.call(late_s=-50)  # a device that tells nonsense
    assert captured[1][1] > before
    assert opened.faults == 1
    opened.stop()
    assert [stream.state for stream in made.streams] == ["closed", "closed"]


def test_a_device_that_was_unplugged(sound, monkeypatch):
    _, opened = open_laptop(sound)
    opened.start(lambda *given: None, lambda count, heard: np.zeros(count, np.float32))
    opened.check()
    later = time.monotonic() + 3.5
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    with pytest.raises(FaceVCError, match="Built-in Microphone gives no sound any more. Was it unplugged"):
        opened.check()
    opened.stop()


def test_a_failure_in_the_callback_is_raised_by_check(sound):
    made, opened = open_laptop(sound)
    opened.start(lambda *given: 1 / 0, lambda count, heard: np.zeros(count, np.float32))
    with pytest.raises(made.CallbackAbort):
        made.streams[1].call()
    with pytest.raises(ZeroDivisionError):
        opened.check()
    opened.stop()


def test_a_device_that_cannot_be_closed_is_left(sound):
    made, opened = open_laptop(sound)
    opened.start(lambda *given: None, lambda count, heard: np.zeros(count, np.float32))

    def fail():
        raise PortAudioError("gone")

    made.streams[0].abort = fail
    opened.stop()
    assert made.streams[1].state == "closed"


def test_the_monitor_plays_the_same(sound):
    made = sound(*LAPTOP, default=(0, 1))
    opened = choose_cards(None, "headset", True, False).open(22050)
    opened.start(lambda *given: None, lambda count, heard: np.full(count, 0.25, np.float32))
    speaker, monitor, _ = made.streams
    assert (speaker.given["device"], monitor.given["device"]) == (2, 1)
    for _ in range(12):
        speaker.call()
        played = monitor.call()
    assert played[:, 0] == pytest.approx(0.25)
    opened.stop()


def test_a_computer_without_pulses_library_has_no_devices_of_it(sound, monkeypatch):
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "pulsectl":
                raise OSError("libpulse.so.0: cannot open shared object file")

    sound(*LAPTOP, device("pulse", 2, 2))
    monkeypatch.delitem(sys.modules, "pulsectl", raising=False)
    monkeypatch.setattr("facevc_cli.live.pulse_devices.find_spec", lambda name: object())
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    assert choose_cards(None, None, False, True).loudspeaker.name == "pulse"


def test_a_virtual_microphone_needs_a_way_to_pulse(sound):
    sound(*LAPTOP)
    with pytest.raises(FaceVCError, match="libasound2-plugins"):
        choose_cards(None, None, False, True)
    sound(*LAPTOP, device("default", 2, 2), device("pulse", 2, 2))
    assert choose_cards(None, None, False, True).loudspeaker.name == "pulse"
