"""Linux: the devices of PulseAudio and PipeWire, of which PortAudio shows only the default one."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from facevc_cli.live.devices import SoundDevice

HOST = "PulseAudio"
PORTAUDIO_NAMES = ("pulse", "pipewire", "default")  # through which sound reaches PulseAudio or PipeWire
OWN = "facevc_"  # begins the names of our virtual microphones


def find_pulse(devices: Sequence[SoundDevice]) -> SoundDevice | None:
    """PortAudio's device that plays and records through PulseAudio or PipeWire. None if there is none."""
    names = {device.name: device for device in devices if device.has("output") and not device.pulse_name}
    return next((names[name] for name in PORTAUDIO_NAMES if name in names), None)


def list_pulse_devices(devices: Sequence[SoundDevice]) -> list[SoundDevice]:
    """Lists the server's devices, numbered after PortAudio's. Empty without a server, or if PortAudio cannot use it."""
    through = find_pulse(devices)
    if through is None or not sys.platform.startswith("linux") or find_spec("pulsectl") is None:
        return []
    try:
        import pulsectl
    except OSError:  # the server's own library is not installed, so there is no server
        return []
    try:
        with pulsectl.Pulse("facevc live") as pulse:
            sources, sinks = pulse.source_list(), pulse.sink_list()
    except pulsectl.PulseError:
        return []
    found = [(source, source.channel_count, 0) for source in sources]
    found += [(sink, 0, sink.channel_count) for sink in sinks]
    return [
        SoundDevice(
            len(devices) + i,
            device.description,
            HOST,
            inputs,
            outputs,
            device.sample_spec.rate,
            opens=through.number,
            pulse_name=device.name,
        )
        for i, (device, inputs, outputs) in enumerate(one for one in found if not one[0].name.startswith(OWN))
    ]


@contextmanager
def route(variable: str, name: str) -> Iterator[None]:
    """A stream that is opened in this block uses the server's device of this name.

    variable: PULSE_SOURCE for a microphone, PULSE_SINK for a loudspeaker.
    """
    before = os.environ.get(variable)
    os.environ[variable] = name
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before
