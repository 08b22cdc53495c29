"""The options that only `facevc convert` has."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli.options import MODEL, REPORT, WORK, one_of
from facevc_cli.core import choices

BENCHMARKS = "Benchmarks"

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
FACE = "A face image, a voice card, or a folder of them. Each is a target. May be repeated."
PERSON = "Several pictures of ONE person: a folder, or files separated by commas. May be repeated."
MIX = "A voice between several: pictures, voice cards or recordings with weights, such as 'a.jpg=.6 b.jpg=.4' (quoted). May be repeated."
SWEEP = "Write N steps of a mix of two instead of the mix, from all of the first to all of the second."
PITCH = "auto (the voice's), keep (the source's), semitones from auto such as +3, or a median such as 180hz."
PAIRS = "Convert only the pairs of this table: columns source and face (or voice)."
VOCODER = "auto, hifigan, griffin-lim, a Parallel WaveGAN or HiFi-GAN checkpoint, or the name of an installed package's vocoder."
GUIDANCE = "Move the result away from the source's own voice, past the target's. 0 is off. Above 1 the sound gets worse. Default: the model's."
TEMPERATURE = "Softmax temperature of the memory. Lower picks fewer stored voices. Default: the model's."

BATCH = "Conversions that run at once. Default: 1 on a CPU, because batching does not help there; otherwise 16."
JSON = "Print one JSON object per line on stdout: each item when it is done, the summary last."

Out = Annotated[Path, Option("--out", "-o", help=OUT)]
Faces = Annotated[list[str] | None, Option("--face", metavar="IMG_OR_FOLDER", help=FACE)]
Persons = Annotated[list[str] | None, Option("--person", metavar="FOLDER", help=PERSON)]
Voices = Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help="A recording whose voice is taken instead of a face's. May be repeated.")]
Mixes = Annotated[list[str] | None, Option("--mix", metavar="FACE=WEIGHT ...", help=MIX)]
Sweep = Annotated[int | None, Option("--sweep", metavar="N", help=SWEEP)]
Pairs = Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)]
Name = Annotated[str, Option("--name", help="Of the outputs; {source} and {face} are the inputs' ids.")]
Vocoder = Annotated[str | None, Option("--vocoder", help=VOCODER, rich_help_panel=MODEL)]
Pitch = Annotated[str, Option("--pitch", metavar="auto|keep|SEMITONES|HZ", help=PITCH)]
Guidance = Annotated[float | None, Option("--guidance", help=GUIDANCE, rich_help_panel=MODEL)]
Temperature = Annotated[float | None, Option("--temperature", help=TEMPERATURE, rich_help_panel=MODEL)]
_one_of_many = partial(Option, "--on-many", metavar="largest|skip", parser=one_of(choices.OnMany))
OnMany = Annotated[choices.OnMany, _one_of_many(help="Several faces in an image: take the largest, or skip it.", rich_help_panel=WORK)]
BatchSize = Annotated[int | None, Option("--batch-size", min=1, help=BATCH, rich_help_panel=WORK)]
Watermark = Annotated[bool, Option("--watermark/--no-watermark", help="Add the inaudible mark that 'facevc verify' finds.", rich_help_panel=WORK)]
Sidecar = Annotated[bool, Option("--sidecar", help="Write what made each file beside it, as NAME.wav.json.", rich_help_panel=WORK)]
Json = Annotated[bool, Option("--json", help=JSON, rich_help_panel=REPORT)]

_benchmark = partial(Option, rich_help_panel=BENCHMARKS)
_table = partial(_benchmark, metavar="TABLE.csv")

BASELINE = "Also run shuffled-faces, shuffled-within-gender, mean-face, source or voice; may be repeated."
DEGRADE = "Also run degraded faces: blur=4,jpeg=10,blur=2+dark=.3; kinds blur, occlude, jpeg, dark, rotate, downscale."
LABELS = "Columns target, gender, references (recordings between |), others: into the manifest."
SOURCES_TABLE = "Columns source_id, gender, speaker, transcript: into the manifest."
PROTOCOL = "Draw sources and faces as a benchmark does: a name or a YAML file. Needs both tables."

Baselines = Annotated[list[str] | None, _benchmark("--baseline", metavar="NAME", help=BASELINE)]
Degrade = Annotated[list[str] | None, _benchmark("--degrade", metavar="KIND=VALUE,...", help=DEGRADE)]
Labels = Annotated[Path | None, _table("--labels", help=LABELS)]
SourcesTable = Annotated[Path | None, _table("--sources-table", help=SOURCES_TABLE)]
Protocol = Annotated[str | None, _benchmark("--protocol", metavar="NAME_OR_YAML", help=PROTOCOL)]
System = Annotated[str | None, _benchmark("--system", metavar="NAME", help="Of this system, in the manifest. Default: the model's.")]
