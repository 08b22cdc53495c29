"""`live`: converts what a microphone hears, while somebody speaks, or a recording as if it were one."""

import gc
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.batch.plan import check_targets, request_targets
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.voice_stream import VoiceStream
from facevc_cli.conversion.voice_request import FACE_SUFFIXES, TargetRequest, VoiceOptions
from facevc_cli.core.errors import FaceVCError, Interrupted, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.core.stopping import hold
from facevc_cli.files.audio import check_audio_suffix, load_audio, open_audio_writer
from facevc_cli.files.inputs import find_files
from facevc_cli.live.cards import Cards, choose_cards, list_all_devices
from facevc_cli.live.controls import Controls, has_keyboard, open_keyboard
from facevc_cli.live.devices import PortAudioDevice
from facevc_cli.live.gate import GateSettings
from facevc_cli.live.path import LivePath
from facevc_cli.live.session import LiveSession, Voice
from facevc_cli.live.simulation import SimulatedDevice
from facevc_cli.live.speed import STEPS_FRAMES, Speed, choose_speed
from facevc_cli.live.virtual_mic import DESCRIPTION, VirtualMic, open_virtual_mic
from facevc_cli.provenance.metadata import describe_provenance, format_comment

STAGE = "live"
MOST_SHOWN = 600  # points of the course of the latency


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """input, output: as `find_device` takes them. simulate: a recording instead of devices, whose result is `record`.

    step_frames: of the stream; None: chosen by the measured speed. calibrate: a recording of whoever speaks.
    """

    faces: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    voice_options: VoiceOptions = field(default_factory=VoiceOptions)
    checkpoint: Path | None = None
    vocoder: str | None = "fast"
    temperature: float | None = None
    on_many: str = "largest"
    device: str = "auto"
    input: str | None = None
    output: str | None = None
    monitor: bool = False
    virtual_mic: bool = False
    record: Path | None = None
    simulate: Path | None = None
    seconds: float | None = None
    gate: str = "auto"
    push_to_talk: bool = False
    calibrate: Path | None = None
    step_frames: int | None = None
    watermark: bool = True
    overwrite: bool = False  # of a `record` that exists

    def check(self) -> None:
        """UsageError if options do not go together or a value is wrong."""
        check_targets(self.faces, self.voices, self.voice_options)
        GateSettings.parse(self.gate)
        if self.step_frames is not None and (self.step_frames < 2 or self.step_frames % 2):
            raise UsageError(f"--step {self.step_frames}: expected an even number of frames from 2 on.")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"--seconds {self.seconds:g}: expected a number above 0.")
        if self.temperature is not None and not self.temperature > 0:
            raise UsageError(f"--temperature {self.temperature}: expected a number above 0.")
        of_devices = {"--input": self.input, "--output": self.output, "--monitor": self.monitor}
        of_devices |= {"--virtual-mic": self.virtual_mic, "--push-to-talk": self.push_to_talk}
        given = [option for option, value in of_devices.items() if value]
        if self.simulate is not None and given:
            raise UsageError(f"--simulate uses no device and no keys. Leave out {' and '.join(given)}.")
        if self.simulate is not None and self.record is None:
            raise UsageError("--simulate needs a file for the result: pass -o OUT.wav.")
        if self.virtual_mic and self.output:
            raise UsageError("--virtual-mic and --output name two places for the sound. Leave one of them out.")
        if self.monitor and not (self.virtual_mic or self.output):
            raise UsageError(
                "--monitor plays the result on the default loudspeaker besides --output or --virtual-mic. Pass one of "
                "these, or leave --monitor out."
            )
        if self.push_to_talk and not has_keyboard():
            raise UsageError("--push-to-talk needs the space bar, and stdin is no terminal. Leave it out.")
        if self.record is not None:
            check_audio_suffix(self.record)
            if self.record.exists() and not self.overwrite:
                raise FaceVCError(
                    f"{self.record} exists already. Pass --overwrite to replace it, or choose another file."
                )


def run(config: LiveConfig, reporter: Reporter = SILENT) -> Summary:
    """Converts until Ctrl-C, the key q, or the end of the time or the recording. Summary.data has the figures.

    After Ctrl-C the recorded file is kept, the reporter gets the figures by `record`, and the stop is raised.
    """
    config.check()
    data: dict[str, Any] = {}
    try:
        with hold(lambda: 0, raises=True, terminations=True):
            _run(config, reporter, data)
    except (KeyboardInterrupt, Interrupted):
        reporter.end()
        if data:
            reporter.note(describe_figures(data))
            reporter.record({"type": "summary", "stopped": True, **data})
        raise
    reporter.end()
    reporter.note(describe_figures(data))
    return Summary(done=1, output=config.record, data=data)


def list_all() -> Summary:
    """Summary.data has the devices."""
    devices = [asdict(device) for device in list_all_devices()]
    return Summary(done=len(devices), data={"devices": devices})


def describe_figures(data: dict[str, Any]) -> str:
    """The figures of a session, for people."""
    p50, p99 = data["latency_p50_ms"], data["latency_p99_ms"]
    latency = "no sound was played" if p50 is None else f"latency {p50} ms (p50), {p99} ms (p99)"
    return (
        f"{data['seconds']:.0f} s: {latency}; {data['underruns']} underruns, {data['drops']} drops "
        f"({data['dropped_s']:.2f} s), {data['cpu_percent']:.0f} % of one CPU core"
    )


def _run(config: LiveConfig, reporter: Reporter, data: dict[str, Any]) -> None:
    given: SimulatedDevice | Cards  # found before the model is loaded, which takes longer
    if config.simulate is not None:
        given = SimulatedDevice(*load_audio(config.simulate))
    else:
        given = choose_cards(config.input, config.output, config.monitor, config.virtual_mic)
    pictures = find_files(config.faces, FACE_SUFFIXES, reporter) if config.faces else []
    requests = request_targets(pictures, config.voices, config.voice_options, reporter)
    with ThreadPoolExecutor(1, "network") as pool, ExitStack() as stack:
        converter = pool.submit(_load, config, requests, reporter).result()
        voices = pool.submit(_find_voices, config, converter, requests, reporter).result()
        speed = pool.submit(_open_stream, config, converter, voices[0]).result()
        _note_speed(speed, reporter)
        gc.collect()
        gc.freeze()  # what is loaded stays, so the collector need not look at it while somebody speaks
        device: SimulatedDevice | PortAudioDevice
        if isinstance(given, SimulatedDevice):
            device, in_rate, out_rate = given, given.rate, given.rate
        else:
            virtual = stack.enter_context(open_virtual_mic()) if config.virtual_mic else None
            device = given.open(converter.rate, virtual)
            in_rate, out_rate = device.in_rate, device.out_rate
            _note_devices(device, virtual, reporter)
        gate = GateSettings.parse(config.gate)
        path = LivePath(speed.stream, in_rate, out_rate, gate=gate, spare_s=speed.spare_s, aside=speed.aside)
        session = LiveSession(path, device, pool, voices)
        with _open_record(config, converter, requests, out_rate) as record, open_keyboard() as read_keys:
            controls = Controls(read_keys, config.push_to_talk)
            if config.simulate is None and has_keyboard():
                reporter.note(controls.describe(len(voices) > 1))
            reporter.begin(None, "s", STAGE)
            try:
                session.run(
                    seconds=config.seconds,
                    control=controls,
                    report=lambda figures: reporter.advance(voices[session.current].name, **figures),
                    record=record,
                )
            except (KeyboardInterrupt, Interrupted, FaceVCError) as stop:
                stopped: BaseException | None = stop  # what was recorded so far is kept
            else:
                stopped = None
            path.figures.device_faults = getattr(device, "faults", 0)
            data.update(_describe(path, speed, voices))
        if stopped is not None:
            raise stopped


def _describe(path: LivePath, speed: Speed, voices: list[Voice]) -> dict[str, Any]:
    course = list(path.figures.course)
    return {
        **path.figures.describe(),
        "threads": 1 + speed.aside,
        "step_ms": round(speed.step_s * 1000, 1),
        "stream_latency_ms": round(path.converter.latency_samples / path.converter.rate * 1000, 1),
        "rates": [path.in_rate, path.converter.rate, path.out_rate],
        "voices": [voice.name for voice in voices],
        "course": [list(second) for second in course[:: -(-len(course) // MOST_SHOWN) or 1]],
    }


def _load(config: LiveConfig, requests: list[TargetRequest], reporter: Reporter) -> Converter:
    guidance = config.voice_options.guidance
    converter = Converter(
        config.checkpoint, config.vocoder, config.device, on_many=config.on_many, guidance=guidance, reporter=reporter
    )
    if any(request.voice_spec.has_pictures for request in requests):
        converter.prepare_faces()
    return converter


def _find_voices(
    config: LiveConfig, converter: Converter, requests: list[TargetRequest], reporter: Reporter
) -> list[Voice]:
    """Makes all voices before anybody speaks."""
    pitch, traits = config.voice_options.parse_pitch(), config.voice_options.parse_traits()
    resolver = VoiceResolver(converter, config.temperature, reporter=reporter, pitch=pitch, traits=traits)
    voices = []
    for request in requests:
        voices.append(Voice(request.id, resolver.resolve(request.voice_spec)))
        resolver.read_voice(request.voice_spec)  # tells of a doubtful register
    return voices


def _open_stream(config: LiveConfig, converter: Converter, voice: Voice) -> Speed:
    def open_stream(frames: int) -> VoiceStream:
        settings = StreamSettings(step_frames=frames, watermark=config.watermark)
        return converter.stream(voice.target, settings=settings)

    speed = choose_speed(open_stream, STEPS_FRAMES if config.step_frames is None else (config.step_frames,))
    if config.calibrate is not None:
        speed.stream.calibrate(config.calibrate)
    return speed


def _note_speed(speed: Speed, reporter: Reporter) -> None:
    told = f"steps of {speed.step_s * 1000:.0f} ms, which take {speed.load:.0%} of their time"
    if speed.is_enough:
        reporter.note(told)
    else:
        reporter.note(
            f"warning: {told}. This computer is too slow for live conversion, so parts of the speech will be left out. "
            "End other programs, or choose a faster --vocoder."
        )


def _note_devices(device: PortAudioDevice, virtual: VirtualMic | None, reporter: Reporter) -> None:
    heard = f"the microphone {device.microphone.name}"
    if virtual is not None:
        reporter.note(f"From {heard}. Choose the microphone '{DESCRIPTION}' in the other program.")
    else:
        reporter.note(
            f"From {heard} to {device.loudspeaker.name}. Use headphones: the microphone would hear a loudspeaker."
        )


@contextmanager
def _open_record(
    config: LiveConfig, converter: Converter, requests: list[TargetRequest], rate: int
) -> Iterator[Callable[[np.ndarray], None] | None]:
    """Yields what takes the played sound. The file says that it is synthetic, and the stream has marked the sound."""
    if config.record is None:
        yield None
        return
    first = requests[0].voice_spec
    model = converter.checkpoint
    files = list(dict.fromkeys(file for request in requests for file in request.voice_spec.files))
    settings = (model.weights_sha256, converter.vocoder.name, *config.voice_options.settings, *map(str, files))
    made = describe_provenance(
        hashlib.sha256(" ".join(settings).encode()).hexdigest()[:16],
        model.config.name,
        model.weights_sha256,
        config.simulate or "",
        files,
        first.kind,
        watermark=config.watermark,
    )
    source = config.simulate.name if config.simulate is not None else "a microphone"
    target = first.describe() if len(requests) == 1 else f"voices of {len(requests)} targets"
    with open_audio_writer(config.record, rate, format_comment(made, source, target)) as write:
        yield write
