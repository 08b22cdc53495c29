"""The options of `facevc live`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.options import MODEL, REPORT, WORK
from facevc_cli.cli.voice_options import VoiceOptionFields

if TYPE_CHECKING:
    from facevc_cli.stages.live import LiveConfig

INPUT = "The microphone: its number in --list-devices, or a part of its name. Default: the computer's own choice."
OUTPUT = "The loudspeaker or virtual cable, named in the same way."
MONITOR = "Play the result on the default loudspeaker, too."
VIRTUAL = "Linux: make a microphone 'facevc microphone' for other programs, and remove it at the end."
LIST = "List the microphones and loudspeakers, and end."
GATE = "What counts as silence: auto (near the noise that is heard), off, or a level in dB such as -45."
TALK = "Be silent except while the space bar is held."
CALIBRATE = "A recording of your own voice, 5 to 10 seconds, so that the first words sound right, too."
STEP = "Frames of the log-mel that are converted at once; even. Default: the fewest that this computer can do in time."
RECORD = "Keep what was played in this .wav, .flac or .ogg file."
SIMULATE = "Convert this recording in real time instead, as if it came from a microphone."
OUT = "The result of --simulate: a .wav, .flac or .ogg file."
SECONDS = "End after so long. Default: when q or Ctrl-C is pressed."
OVERWRITE = "Overwrite a file that exists."
JSON = "Print the figures as one JSON object on stdout at the end."

_sound = partial(Option, rich_help_panel="Sound")


@dataclass(frozen=True, kw_only=True)
class LiveOptions(VoiceOptionFields):
    input: Annotated[str | None, _sound("--input", metavar="DEVICE", help=INPUT)] = None
    output: Annotated[str | None, _sound("--output", metavar="DEVICE", help=OUTPUT)] = None
    monitor: Annotated[bool, _sound("--monitor", help=MONITOR)] = False
    virtual_mic: Annotated[bool, _sound("--virtual-mic", help=VIRTUAL)] = False
    list_devices: Annotated[bool, _sound("--list-devices", help=LIST)] = False
    gate: Annotated[str, _sound("--gate", metavar="auto|off|DB", help=GATE)] = "auto"
    push_to_talk: Annotated[bool, _sound("--push-to-talk", help=TALK)] = False
    calibrate: Annotated[Path | None, _sound("--calibrate", metavar="WAV", help=CALIBRATE)] = None
    record: Annotated[Path | None, _sound("--record", metavar="FILE", help=RECORD)] = None
    simulate: Annotated[Path | None, Option("--simulate", metavar="WAV", help=SIMULATE)] = None
    out: Annotated[Path | None, Option("--out", "-o", help=OUT)] = None
    seconds: Annotated[float | None, Option("--seconds", metavar="N", help=SECONDS)] = None
    checkpoint: opt.Checkpoint = None
    vocoder: own.Vocoder = "fast"
    temperature: own.Temperature = None
    step: Annotated[int | None, Option("--step", metavar="FRAMES", help=STEP, rich_help_panel=MODEL)] = None
    on_many: own.OnMany = "largest"
    device: opt.Device = "auto"
    watermark: own.Watermark = True
    overwrite: Annotated[bool, Option("--overwrite", help=OVERWRITE, rich_help_panel=WORK)] = False
    json: Annotated[bool, Option("--json", help=JSON, rich_help_panel=REPORT)] = False
    quiet: opt.Quiet = False
    debug: opt.Debug = False

    def make_config(self) -> "LiveConfig":
        from facevc_cli.core.errors import UsageError
        from facevc_cli.stages.live import LiveConfig

        if self.out is not None and (self.simulate is None or self.record is not None):
            raise UsageError("-o is the file of --simulate. To keep what is played live, pass --record FILE.")
        return LiveConfig(
            faces=tuple(self.faces or ()),
            voices=tuple(self.voices or ()),
            voice_options=self.make_voice_options(list(self.mixes or ())),
            checkpoint=self.checkpoint,
            vocoder=self.vocoder,
            temperature=self.temperature,
            on_many=self.on_many,
            device=self.device,
            input=self.input,
            output=self.output,
            monitor=self.monitor,
            virtual_mic=self.virtual_mic,
            record=self.out or self.record,
            simulate=self.simulate,
            seconds=self.seconds,
            gate=self.gate,
            push_to_talk=self.push_to_talk,
            calibrate=self.calibrate,
            step_frames=self.step,
            watermark=self.watermark,
            overwrite=self.overwrite,
        )
