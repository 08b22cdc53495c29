"""Which of the computer's devices a session uses."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from facevc_cli.core.errors import FaceVCError
from facevc_cli.live.devices import Direction, PortAudioDevice, SoundDevice, find_device, list_devices
from facevc_cli.live.pulse_devices import find_pulse, list_pulse_devices, route
from facevc_cli.live.virtual_mic import VirtualMic


@dataclass(frozen=True)
class Cards:
    microphone: SoundDevice
    loudspeaker: SoundDevice
    monitor: SoundDevice | None

    def open(self, rate: int, virtual: VirtualMic | None = None) -> PortAudioDevice:
        """Opens them at this rate, if they take it. virtual: what the loudspeaker's sound goes into."""

        def lead(direction: Direction, device: SoundDevice) -> AbstractContextManager[object]:
            if direction == "output" and virtual is not None and device is self.loudspeaker:
                return route("PULSE_SINK", virtual.sink)
            if device.pulse_name:
                return route("PULSE_SOURCE" if direction == "input" else "PULSE_SINK", device.pulse_name)
            return nullcontext()

        given = self.microphone, self.loudspeaker, rate
        if virtual is None:
            return PortAudioDevice(*given, monitor=self.monitor, around=lead)
        return PortAudioDevice(*given, monitor=self.monitor, around=lead, opened=virtual.move_output)


def list_all_devices() -> list[SoundDevice]:
    """Lists PortAudio's devices, then those of PulseAudio or PipeWire."""
    devices = list_devices()
    return [*devices, *list_pulse_devices(devices)]


def choose_cards(microphone: str | None, loudspeaker: str | None, monitor: bool, virtual: bool) -> Cards:
    """Finds the devices as `find_device` does.

    virtual: the loudspeaker is one that plays through PulseAudio or PipeWire. Errors as in `find_device`.
    """
    devices = list_all_devices()
    return Cards(
        find_device(microphone, "input", devices),
        _need_pulse(devices) if virtual else find_device(loudspeaker, "output", devices),
        find_device(None, "output", devices) if monitor else None,
    )


def _need_pulse(devices: list[SoundDevice]) -> SoundDevice:
    found = find_pulse(devices)
    if found is None:
        raise FaceVCError(
            "--virtual-mic: PortAudio has no device that plays through PulseAudio or PipeWire. Install its ALSA "
            "plugin: 'sudo apt install libasound2-plugins' (or pipewire-alsa)."
        )
    return found
