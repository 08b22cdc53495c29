"""The options of `facevc convert`. `facevc benchmark` has them, too."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.options import MODEL, REPORT, WORK, make_choice_parser
from facevc_cli.core import choices

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
FACE = "A face image, a voice card, or a folder of them. Each is a target. May be repeated."
PERSON = "Several pictures of ONE person: a folder, or files separated by commas. May be repeated."
VOICE = "A recording whose voice is taken instead of a face's. May be repeated."
MIX = (
    "A voice between several: pictures, voice cards or recordings with weights, such as 'a.jpg=.6 b.jpg=.4' "
    "(quoted). May be repeated."
)
SWEEP = "Write N steps of a mix of two instead of the mix, from all of the first to all of the second."
PITCH = "auto (the voice's), keep (the source's), semitones from auto such as +3, or a median such as 180hz."
REGISTER = (
    "auto (as the face is read), masculine, feminine, or a number from 0 (masculine) to 1 (feminine). For faces, mixes "
    "and voice cards."
)
AGE = "auto (as the face is read), or the age in years that the voice should sound like."
PAIRS = "Convert only the pairs of this table: columns source and face (or voice)."
VOCODER = (
    "auto, hifigan, griffin-lim, a Parallel WaveGAN or HiFi-GAN checkpoint, or the name of an installed "
    "package's vocoder."
)
GUIDANCE = (
    "Move the result away from the source's own voice, past the target's. 0 is off. Above 1 the sound gets "
    "worse. Default: the model's."
)
TEMPERATURE = "Softmax temperature of the memory. Lower picks fewer stored voices. Default: the model's."
NAME = "Pattern of the outputs' names; {source} and {target} are the inputs' ids."
BATCH = "Conversions that run at once. Default: 1 on a CPU, because batching does not help there; otherwise 16."
MARK = "Add the inaudible mark that 'facevc verify' finds."
SIDECAR = "Write what made each file beside it, as NAME.wav.json."
JSON = "Print one JSON object per line on stdout: each item when it is done, the summary last."

_one_of_many = partial(Option, "--on-many", metavar="largest|skip", parser=make_choice_parser(choices.OnMany))
OnMany = Annotated[
    choices.OnMany, _one_of_many(help="Several faces in an image: take the largest, or skip it.", rich_help_panel=WORK)
]
Register = Annotated[str, Option("--register", metavar="auto|masculine|feminine|0..1", help=REGISTER)]
Age = Annotated[str, Option("--age", metavar="auto|YEARS", help=AGE)]
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
    voices: Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help=VOICE)] = None
    pitch: Annotated[str, Option("--pitch", metavar="auto|keep|SEMITONES|HZ", help=PITCH)] = "auto"
    register: Register = "auto"
    age: Age = "auto"
    pairs: Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)] = None
    name: Annotated[str, Option("--name", help=NAME)] = "{source}__{target}.wav"
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
