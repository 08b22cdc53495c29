"""The options of `facevc convert`, which `facevc benchmark` takes, too."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.options import MODEL, REPORT, WORK

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
FACE = "A face image, a voice card, or a folder of them, each a target; may be repeated."
PERSON = "Several pictures of ONE person: a folder, or files between commas; may be repeated."
MIX = "People mixed: pictures, voice cards or recordings with weights, as in 'a.jpg=.6 b.jpg=.4'; may be repeated, quoted."
SWEEP = "Instead of a mix of two, N steps from all of the first to all of the second."
PITCH = "auto (of the voice), keep (the source's), semitones from auto such as +3, or a median such as 180hz."
PAIRS = "Columns source and face (or voice): convert only these."
VOCODER = "auto, hifigan, griffin-lim, or a Parallel WaveGAN / HiFi-GAN checkpoint, or one that an installed package brings."
GUIDANCE = "How far away from the source's own voice, past the target's; 0 is off, above 1 the sound suffers. Default: the model's."
TEMPERATURE = "Of the memory's address; lower is sharper. Default: the model's."
BATCH = "Conversions in the network at once. Default: 1 on a processor, where more do not pay; 16 elsewhere."
MARK = "The inaudible mark that 'facevc verify' finds."
SIDECAR = "Beside each file, as NAME.wav.json, what made it."
JSON = "On stdout one JSON object a line: each item as it is done, the summary last."

OnMany = Annotated[str, Option("--on-many", help="Several faces in an image: largest, or skip.", rich_help_panel=WORK)]
Vocoder = Annotated[str | None, Option("--vocoder", help=VOCODER, rich_help_panel=MODEL)]
Guidance = Annotated[float | None, Option("--guidance", help=GUIDANCE, rich_help_panel=MODEL)]
Temperature = Annotated[float | None, Option("--temperature", help=TEMPERATURE, rich_help_panel=MODEL)]
Watermark = Annotated[bool, Option("--watermark/--no-watermark", help=MARK, rich_help_panel=WORK)]


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    sources: opt.Sources
    output: Annotated[Path, Option("--out", "-o", help=OUT)]
    faces: Annotated[list[str] | None, Option("--face", metavar="IMG_OR_FOLDER", help=FACE)] = None
    persons: Annotated[list[str] | None, Option("--person", metavar="FOLDER", help=PERSON)] = None
    mixes: Annotated[list[str] | None, Option("--mix", metavar="FACE=WEIGHT ...", help=MIX)] = None
    sweep: Annotated[int | None, Option("--sweep", metavar="N", help=SWEEP)] = None
    voices: Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help="A voice instead; may be repeated.")] = None
    pitch: Annotated[str, Option("--pitch", metavar="auto|keep|SEMITONES|HZ", help=PITCH)] = "auto"
    pairs: Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)] = None
    name: Annotated[str, Option("--name", help="Of the outputs; {source} and {target} are the inputs' ids.")] = "{source}__{target}.wav"
    checkpoint: opt.Checkpoint = None
    vocoder: Vocoder = None
    guidance: Guidance = None
    temperature: Temperature = None
    on_many: OnMany = "largest"
    device: opt.Device = "auto"
    limit: opt.Limit = None
    batch_size: Annotated[int | None, Option("--batch-size", min=1, help=BATCH, rich_help_panel=WORK)] = None
    watermark: Watermark = True
    sidecar: Annotated[bool, Option("--sidecar", help=SIDECAR, rich_help_panel=WORK)] = False
    overwrite: opt.Overwrite = False
    dry_run: opt.DryRun = False
    fail_fast: opt.FailFast = False
    json: Annotated[bool, Option("--json", help=JSON, rich_help_panel=REPORT)] = False
    quiet: opt.Quiet = False
    verbose: opt.Verbose = False
    debug: opt.Debug = False
