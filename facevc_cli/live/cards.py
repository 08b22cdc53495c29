"""Which of the computer's devices a session uses."""

from dataclasses import dataclass

from facevc_cli.core.errors import FaceVCError
from facevc_cli.live.devices import PortAudioDevice, SoundDevice, find_device, list_devices
from facevc_cli.live.virtual_mic import VirtualMic

PULSE_DEVICES = ("pulse", "pipewire", "default")  # of PortAudio, through which sound reaches PulseAudio or PipeWire


@dataclass(frozen=True)
class Cards:
    microphone: SoundDevice
    loudspeaker: SoundDevice
    monitor: SoundDevice | None

    def open(self, rate: int, virtual: VirtualMic | None = None) -> PortAudioDevice:
        """Opens them at this rate, if they take it. virtual: what the loudspeaker's sound goes into."""
        if virtual is None:
            return PortAudioDevice(self.microphone, self.loudspeaker, rate, monitor=self.monitor)
        return PortAudioDevice(
            self.microphone,
            self.loudspeaker,
            rate,
            monitor=self.monitor,
            around_output=virtual.take_output(),
            opened=virtual.move_output,
        )


def choose_cards(microphone: str | None, loudspeaker: str | None, monitor: bool, virtual: bool) -> Cards:
    """Finds the devices as `find_device` does.

    virtual: without a named loudspeaker, take one that plays through PulseAudio or PipeWire. Errors as in
    `find_device`.
    """
    devices = list_devices()
    return Cards(
        find_device(microphone, "input", devices),
        _find_pulse(devices) if virtual and loudspeaker is None else find_device(loudspeaker, "output", devices),
        find_device(None, "output", devices) if monitor else None,
    )


def _find_pulse(devices: list[SoundDevice]) -> SoundDevice:
    names = {device.name: device for device in devices if device.has("output")}
    found = next((names[name] for name in PULSE_DEVICES if name in names), None)
    if found is None:
        raise FaceVCError(
            "--virtual-mic: PortAudio has no device that plays through PulseAudio or PipeWire. Install its ALSA "
            "plugin: 'sudo apt install libasound2-plugins' (or pipewire-alsa)."
        )
    return found
