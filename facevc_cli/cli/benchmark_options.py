"""The options of `facevc benchmark`: those of `facevc convert`, and its own."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.convert_options import ConvertOptions

BASELINE = "Also run shuffled-faces, shuffled-within-gender, mean-face, source or voice; may be repeated."
DEGRADE = "Also run degraded faces: blur=4,jpeg=10,blur=2+dark=.3; kinds blur, occlude, jpeg, dark, rotate, downscale."
LABELS = "Columns target, gender, references (recordings between |), others: into the manifest."
SOURCES = "Columns source_id, gender, speaker, transcript: into the manifest."
PROTOCOL = "Draw sources and faces as a benchmark does: a name or a YAML file. Needs both tables."
SYSTEM = "The system's name in the manifest. Default: the model's."

_benchmark = partial(Option, rich_help_panel="Benchmark")
_table = partial(_benchmark, metavar="TABLE.csv")
Labels = Annotated[Path | None, _table("--labels", help=LABELS)]
System = Annotated[str | None, _benchmark("--system", metavar="NAME", help=SYSTEM)]


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(ConvertOptions):
    baselines: Annotated[list[str] | None, _benchmark("--baseline", metavar="NAME", help=BASELINE)] = None
    degrade: Annotated[list[str] | None, _benchmark("--degrade", metavar="KIND=VALUE,...", help=DEGRADE)] = None
    labels: Labels = None
    sources_table: Annotated[Path | None, _table("--sources", help=SOURCES)] = None
    protocol: Annotated[str | None, _benchmark("--protocol", metavar="NAME_OR_YAML", help=PROTOCOL)] = None
    system: System = None
    seed: opt.Seed = 0
