"""Microphones and loudspeakers, by PortAudio."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.live.fifo import SampleFifo
from facevc_cli.live.figures import LiveFigures
from facevc_cli.live.path import BLOCK_S
from facevc_cli.live.player import Player
from facevc_cli.live.session import Capture, Play, run_alone

Direction = Literal["input", "output"]
SILENT_S = 3.0  # a device that calls less often is lost
CLOSED_S = 2.0  # a device that needs longer to be closed hangs
LONGEST_LATENCY_S = 1.0  # a device that tells of more is wrong
SHORT_NAME = 31  # Windows' oldest interface cuts names there
# If several interfaces have a device of this name, the first of these is taken.
PREFERRED_HOSTS = (
    "PulseAudio",
    "Windows WASAPI",
    "Core Audio",
    "ALSA",
    "JACK Audio Connection Kit",
    "Windows DirectSound",
    "MME",
)
BAD_RATE, BAD_CHANNELS, UNAVAILABLE = -9997, -9998, -9985  # PortAudio's codes


@dataclass(frozen=True)
class SoundDevice:
    """A device as PortAudio lists it. inputs, outputs: channels.

    opens, pulse_name: of a device of PulseAudio, PortAudio's device that leads there, and its name there.
    """

    number: int
    name: str
    host: str
    inputs: int
    outputs: int
    rate: int
    is_default_input: bool = False
    is_default_output: bool = False
    opens: int | None = None
    pulse_name: str = ""

    @property
    def portaudio_number(self) -> int:
        return self.number if self.opens is None else self.opens

    def has(self, direction: Direction) -> bool:
        return (self.inputs if direction == "input" else self.outputs) > 0

    def is_default(self, direction: Direction) -> bool:
        return self.is_default_input if direction == "input" else self.is_default_output


def load_portaudio() -> Any:
    """Loads the module sounddevice. FaceVCError if PortAudio is missing, which pip brings on Mac and Windows only."""
    try:
        import sounddevice
    except OSError as error:
        raise FaceVCError(
            f"facevc live needs the library PortAudio, which could not be loaded ({error}). Install it: 'sudo apt "
            "install libportaudio2' on Debian and Ubuntu, 'sudo dnf install portaudio' on Fedora."
        ) from error
    return sounddevice


def list_devices() -> list[SoundDevice]:
    """Lists all devices of this computer."""
    sound = load_portaudio()
    hosts = [host["name"] for host in sound.query_hostapis()]
    default_in, default_out = (int(number) for number in sound.default.device)
    return [
        SoundDevice(
            number,
            str(found["name"]),
            str(hosts[found["hostapi"]]),
            int(found["max_input_channels"]),
            int(found["max_output_channels"]),
            round(found["default_samplerate"]),
            number == default_in,
            number == default_out,
        )
        for number, found in enumerate(sound.query_devices())
    ]


def find_device(given: str | None, direction: Direction, devices: Sequence[SoundDevice]) -> SoundDevice:
    """Finds a device by its number or a part of its name; None means the default one.

    UsageError if the word fits none or several. FaceVCError if there is no device at all.
    """
    what = "microphone" if direction == "input" else "loudspeaker"
    usable = [device for device in devices if device.has(direction)]
    if not usable:
        raise FaceVCError(
            f"no {what} was found. Plug one in, or allow this program to use it in the computer's privacy settings. "
            "'facevc live --list-devices' shows what there is; 'facevc live --simulate' needs no device."
        )
    if given is None:
        return next((device for device in usable if device.is_default(direction)), usable[0])
    if given.isdecimal():
        found = [device for device in usable if device.number == int(given)]
    else:
        found = [device for device in usable if given.casefold() in device.name.casefold()]
        found = [device for device in found if device.name.casefold() == given.casefold()] or found
    if not found:
        names = ", ".join(f"{device.number} {device.name}" for device in usable)
        raise UsageError(f"--{direction} {given}: no {what} has this number or name. There are: {names}.")
    if len({device.name[:SHORT_NAME].casefold() for device in found}) > 1:
        names = ", ".join(f"{device.number} {device.name}" for device in found)
        raise UsageError(f"--{direction} {given} fits several: {names}. Give more of the name, or the number.")
    return min(found, key=lambda device: (*(device.host != host for host in PREFERRED_HOSTS), device.number))


class PortAudioDevice:
    """A microphone and a loudspeaker, which may be of different cards. rate: tried first, so that nothing is resampled.

    monitor: a second loudspeaker that plays the same.
    around: makes a block in which a device is opened, such as one that leads it elsewhere. opened: is called after the
    loudspeaker's opening, before the monitor's.
    """

    def __init__(
        self,
        microphone: SoundDevice,
        loudspeaker: SoundDevice,
        rate: int,
        *,
        monitor: SoundDevice | None = None,
        around: Callable[[Direction, SoundDevice], AbstractContextManager[object]] = lambda *given: nullcontext(),
        opened: Callable[[], None] = lambda: None,
    ):
        self._sound = load_portaudio()
        self.microphone, self.loudspeaker, self.monitor = microphone, loudspeaker, monitor
        self._around, self._opened = around, opened
        self.in_rate, self._in_channels = self._choose_format(microphone, "input", rate)
        self.out_rate, self._out_channels = self._choose_format(loudspeaker, "output", rate)
        self.is_finished = False
        self.faults = 0  # what the devices themselves lost or lacked
        self._streams: list[Any] = []
        self._failed: Exception | None = None
        self._called_s = {"input": 0.0, "output": 0.0}

    def start(self, capture: Capture, play: Play) -> None:
        """FaceVCError if a device is busy or was unplugged."""
        shared, listen = self._make_monitor()

        def hear(given: np.ndarray, count: int, times: Any, status: Any) -> None:
            now = self._note_call("input", status)
            since = times.currentTime - times.inputBufferAdcTime - count / self.in_rate
            capture(given.mean(axis=1), now - min(max(0.0, since), LONGEST_LATENCY_S))

        def speak(wanted: np.ndarray, count: int, times: Any, status: Any) -> None:
            now = self._note_call("output", status)
            until = min(max(0.0, times.outputBufferDacTime - times.currentTime), LONGEST_LATENCY_S)
            block = play(count, now + until)
            wanted[:] = np.clip(block, -1, 1)[:, None]
            shared.write(block)

        self._called_s = dict.fromkeys(self._called_s, time.monotonic())
        self._open("output", self.loudspeaker, self.out_rate, self._out_channels, speak)
        self._opened()
        if self.monitor is not None:
            rate, channels = self._choose_format(self.monitor, "output", self.out_rate)
            if rate != self.out_rate:
                raise FaceVCError(
                    f"the loudspeaker {self.monitor.name} does not play {self.out_rate} Hz, which the other one does. "
                    "Leave out --monitor."
                )
            self._open("output", self.monitor, rate, channels, listen)
        self._open("input", self.microphone, self.in_rate, self._in_channels, hear)

    def stop(self) -> None:
        """Closes the devices. One that hangs is left behind."""
        for stream in self._streams:
            with suppress(FaceVCError, self._sound.PortAudioError):
                run_alone(partial(_close, stream), "A device", CLOSED_S)
        self._streams = []

    def check(self) -> None:
        if self._failed is not None:
            raise self._failed
        now = time.monotonic()
        for direction, device in (("input", self.microphone), ("output", self.loudspeaker)):
            if now - self._called_s[direction] > SILENT_S:
                gives = "gives no sound any more" if direction == "input" else "plays nothing any more"
                raise FaceVCError(f"{device.name} {gives}. Was it unplugged? Plug it in, and start again.")

    def _note_call(self, direction: Direction, status: Any) -> float:
        now = self._called_s[direction] = time.monotonic()
        self.faults += bool(status)
        return now

    def _make_monitor(self) -> tuple[SampleFifo, Callable[..., None]]:
        """What the monitor plays, and its callback. Without a monitor nobody reads what is written."""
        shared = SampleFifo(self.out_rate)
        player = Player(shared, self.out_rate, round(BLOCK_S * self.out_rate), LiveFigures())

        def listen(wanted: np.ndarray, count: int, times: Any, status: Any) -> None:
            wanted[:] = np.clip(player.play(count), -1, 1)[:, None]

        return shared, listen

    def _open(
        self, direction: Direction, device: SoundDevice, rate: int, channels: int, call: Callable[..., None]
    ) -> None:
        kind = self._sound.InputStream if direction == "input" else self._sound.OutputStream

        def guarded(*given: Any) -> None:
            try:
                call(*given)
            except Exception as error:  # the main thread raises it
                self._failed = error
                raise self._sound.CallbackAbort from error

        try:
            with self._around(direction, device):
                stream = kind(
                    samplerate=rate,
                    blocksize=round(BLOCK_S * rate),
                    device=device.portaudio_number,
                    channels=channels,
                    dtype="float32",
                    latency="low",
                    callback=guarded,
                )
                self._streams.append(stream)
                stream.start()
        except self._sound.PortAudioError as error:
            raise FaceVCError(explain_error(error, direction, device)) from error

    def _choose_format(self, device: SoundDevice, direction: Direction, rate: int) -> tuple[int, int]:
        """The rate and the number of channels that the device takes: this rate and one channel, if it can be."""
        check = self._sound.check_input_settings if direction == "input" else self._sound.check_output_settings
        most = device.inputs if direction == "input" else device.outputs
        last: Exception | None = None
        for tried in dict.fromkeys((rate, device.rate)):
            for channels in dict.fromkeys((1, min(2, most), most)):
                try:
                    check(device=device.portaudio_number, channels=channels, dtype="float32", samplerate=tried)
                except self._sound.PortAudioError as error:
                    last = error
                    continue
                return tried, channels
        raise FaceVCError(explain_error(last, direction, device)) from last


def _close(stream: Any) -> None:
    stream.abort()
    stream.close()


def explain_error(error: Exception | None, direction: Direction, device: SoundDevice) -> str:
    """Says in words why PortAudio cannot use a device."""
    what = f"the {'microphone' if direction == 'input' else 'loudspeaker'} {device.number} {device.name}"
    code = error.args[1] if error is not None and len(error.args) > 1 else None
    if code in (BAD_RATE, BAD_CHANNELS):
        return f"{what} takes no rate or number of channels that facevc can use. Choose another with --{direction}."
    if code == UNAVAILABLE:
        return (
            f"{what} is busy or was unplugged. End the program that uses it, or choose another with --{direction}; "
            "'facevc live --list-devices' lists them."
        )
    said = error.args[0] if error is not None and error.args else "no reason was given"
    return f"{what} could not be opened ({said}). Is it plugged in, and is nothing else using it?"
