"""A stand-in for the module sounddevice: devices that call back when a test says so."""

from types import SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    pass


class CallbackAbort(Exception):
    pass


def device(name: str, inputs: int = 1, outputs: int = 1, host: int = 0, rate: float = 48000.0) -> dict[str, object]:
    return {
        "name": name,
        "hostapi": host,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": rate,
    }


class FakeStream:
    def __init__(self, kind: str, sound: "FakePortAudio", **given):
        self.kind, self.sound, self.given = kind, sound, given
        self.state = "opened"
        if given["device"] in sound.busy:
            raise PortAudioError("Error opening stream: Device unavailable", -9985)
        sound.streams.append(self)

    def start(self) -> None:
        self.state = "started"

    def abort(self) -> None:
        self.state = "aborted"

    def close(self) -> None:
        self.state = "closed"

    def call(self, block: np.ndarray | None = None, late_s: float = 0.005, status: bool = False) -> np.ndarray:
        """One call back; for a loudspeaker, what it plays (n, channels)."""
        count = self.given["blocksize"]
        times = SimpleNamespace(
            currentTime=100.0,
            inputBufferAdcTime=100.0 - late_s - count / self.given["samplerate"],
            outputBufferDacTime=100.0 + late_s,
        )
        data = np.zeros((count, self.given["channels"]), np.float32) if block is None else block
        self.given["callback"](data, count, times, status)
        return data


class FakePortAudio:
    """devices: as sounddevice lists them. rates: what the devices take, by number; all if it is not there."""

    PortAudioError, CallbackAbort = PortAudioError, CallbackAbort

    def __init__(self, *devices: dict, hosts: tuple[str, ...] = ("ALSA",), default=(0, 0), rates=None, channels=None):
        self.devices, self.hosts = devices, hosts
        self.default = SimpleNamespace(device=default)
        self.rates, self.channels = rates or {}, channels or {}
        self.busy: set[int] = set()
        self.streams: list[FakeStream] = []

    def query_devices(self):
        return list(self.devices)

    def query_hostapis(self):
        return [{"name": name} for name in self.hosts]

    def InputStream(self, **given):
        return FakeStream("input", self, **given)

    def OutputStream(self, **given):
        return FakeStream("output", self, **given)

    def check_input_settings(self, device, channels, dtype, samplerate):
        if samplerate not in self.rates.get(device, (samplerate,)):
            raise PortAudioError("Invalid sample rate", -9997)
        if channels not in self.channels.get(device, (channels,)):
            raise PortAudioError("Invalid number of channels", -9998)

    check_output_settings = check_input_settings
