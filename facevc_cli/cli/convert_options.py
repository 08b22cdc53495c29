"""The options that `facevc convert` alone has."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli.options import MODEL, WORK

BENCHMARKS = "Benchmarks"

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
PAIRS = "Columns source and face (or voice): convert only these."
VOCODER = "auto, hifigan, griffin-lim, or a Parallel WaveGAN / HiFi-GAN checkpoint."
TEMPERATURE = "Of the memory's address; lower is sharper. Default: the model's."

Out = Annotated[Path, Option("--out", "-o", help=OUT)]
Faces = Annotated[list[str] | None, Option("--face", metavar="IMG_OR_FOLDER", help="A face image or a folder; may be repeated.")]
Voices = Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help="A voice instead; may be repeated.")]
Pairs = Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)]
Name = Annotated[str, Option("--name", help="Of the outputs; {source} and {face} are the inputs' ids.")]
Vocoder = Annotated[str | None, Option("--vocoder", help=VOCODER, rich_help_panel=MODEL)]
Temperature = Annotated[float | None, Option("--temperature", help=TEMPERATURE, rich_help_panel=MODEL)]
OnMany = Annotated[str, Option("--on-many", help="Several faces in an image: largest, or skip.", rich_help_panel=WORK)]

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
