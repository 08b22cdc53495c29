"""Linux: a microphone that other programs can choose, made of PulseAudio's or PipeWire's own modules.

A null sink takes what facevc plays. A remapped source gives it to other programs, because many of them hide the
monitor of a sink.
"""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from facevc_cli.core.errors import FaceVCError

DESCRIPTION = "facevc microphone"
MOVED_S = 2.0  # a stream that does not appear within this time went another way
_OURS = re.compile(r"(?:sink|source)_name=facevc_(?:sink|mic)_(\d+)\b")


@dataclass(frozen=True)
class VirtualMic:
    """sink: the name of what facevc plays into. source: the name of the microphone."""

    sink: str
    source: str
    pulse: Any

    def move_output(self) -> None:
        """Moves this process's streams to the sink, if they are not there. FaceVCError if there is none."""
        sink = self.pulse.get_sink_by_name(self.sink).index
        until = time.monotonic() + MOVED_S
        while time.monotonic() < until:
            own = [one for one in self.pulse.sink_input_list() if _is_own(one)]
            for one in own:
                if one.sink != sink:
                    self.pulse.sink_input_move(one.index, sink)
            if own:
                return
            time.sleep(0.05)
        raise FaceVCError(
            "the sound does not reach the virtual microphone, because PortAudio does not play through PulseAudio or "
            "PipeWire. Install its ALSA plugin: 'sudo apt install libasound2-plugins' (or pipewire-alsa)."
        )


@contextmanager
def open_virtual_mic() -> Iterator[VirtualMic]:
    """Makes the microphone for the time of this block. Those that killed processes left behind are removed.

    FaceVCError if neither PulseAudio nor PipeWire runs.
    """
    if not sys.platform.startswith("linux"):
        raise FaceVCError(
            "--virtual-mic works on Linux only. Install a virtual cable instead: VB-CABLE on Windows, BlackHole on a "
            "Mac. Then choose it with --output."
        )
    import pulsectl

    pid = os.getpid()
    sink, source = f"facevc_sink_{pid}", f"facevc_mic_{pid}"
    try:
        pulse = pulsectl.Pulse("facevc live")
    except pulsectl.PulseError as error:
        raise FaceVCError(
            "--virtual-mic needs PulseAudio or PipeWire, and neither answers. Start one, for example with "
            "'pulseaudio --start', or leave the option out."
        ) from error
    with pulse:
        remove_left_over(pulse)
        before = pulse.server_info()
        described = DESCRIPTION.replace(" ", "_")
        modules: list[int] = []
        try:
            for module, arguments in (
                (
                    "module-null-sink",
                    f"sink_name={sink} sink_properties=device.description={described}_in channels=1",
                ),
                (
                    "module-remap-source",
                    f"source_name={source} master={sink}.monitor channels=1 "
                    f"source_properties=device.description={described}",
                ),
            ):
                modules.append(pulse.module_load(module, arguments))
            _keep_defaults(pulse, before)
            yield VirtualMic(sink, source, pulse)
        except pulsectl.PulseError as error:
            raise FaceVCError(f"PulseAudio or PipeWire refused to make the virtual microphone ({error}).") from error
        finally:
            for index in reversed(modules):
                with suppress(pulsectl.PulseError):  # the server is gone, and its modules with it
                    pulse.module_unload(index)


def remove_left_over(pulse: Any) -> int:
    """Removes the modules of processes that no longer run, and returns how many there were."""
    import pulsectl

    removed = 0
    for module in reversed(pulse.module_list()):
        found = _OURS.search(module.argument or "")
        if found and not _runs(int(found[1])):
            with suppress(pulsectl.PulseError):
                pulse.module_unload(module.index)
                removed += 1
    return removed


def _keep_defaults(pulse: Any, before: Any) -> None:
    """Sets the default devices to those of before: our own microphone must not become what we listen to."""
    for devices, name in (
        (pulse.sink_list(), before.default_sink_name),
        (pulse.source_list(), before.default_source_name),
    ):
        kept = next((device for device in devices if device.name == name), None)
        if kept is not None:
            pulse.default_set(kept)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


def _is_own(stream: Any) -> bool:
    return bool(stream.proplist.get("application.process.id") == str(os.getpid()))
