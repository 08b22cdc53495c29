"""The options of `facevc convert`, and those of them that other commands have, too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.options import MODEL, REPORT, WORK, make_choice_parser
from facevc_cli.cli.voice_options import VoiceOptionFields
from facevc_cli.core import choices

if TYPE_CHECKING:
    from facevc_cli.batch.run import ConvertConfig

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
PAIRS = "Convert only the pairs of this table: columns source and face (or voice)."
VOCODER = (
    "auto, fast, hifigan, light, griffin-lim, or a Parallel WaveGAN, HiFi-GAN or light checkpoint. Or the name of an "
    "installed package's vocoder."
)
TEMPERATURE = "Softmax temperature of the memory. Lower picks fewer stored voices. Default: the model's."
NAME = "Pattern of the outputs' names; {source} and {target} are the inputs' ids."
BATCH = "Conversions that run at once. Default: 1 on a CPU, because batching does not help there; otherwise 16."
JOBS = "Processes, or workers of the engine; each loads the model. 0: as many as there is room for, but here only one."
MARK = "Add the inaudible mark that 'facevc verify' finds."
SIDECAR = "Write what made each file beside it, as NAME.wav.json."
JSON = "Print one JSON object per line on stdout: each item when it is done, the summary last."

_one_of_many = partial(Option, "--on-many", metavar="largest|skip", parser=make_choice_parser(choices.OnMany))
OnMany = Annotated[
    choices.OnMany, _one_of_many(help="Several faces in an image: take the largest, or skip it.", rich_help_panel=WORK)
]
Vocoder = Annotated[str | None, Option("--vocoder", help=VOCODER, rich_help_panel=MODEL)]
Temperature = Annotated[float | None, Option("--temperature", help=TEMPERATURE, rich_help_panel=MODEL)]
Watermark = Annotated[bool, Option("--watermark/--no-watermark", help=MARK, rich_help_panel=WORK)]


@dataclass(frozen=True, kw_only=True)
class OutputOptionFields(VoiceOptionFields):
    """What every command has that writes many files in the voices of targets."""

    output: Annotated[Path, Option("--out", "-o", help=OUT)]
    name: Annotated[str, Option("--name", help=NAME)] = "{source}__{target}.wav"
    checkpoint: opt.Checkpoint = None
    vocoder: Vocoder = None
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

    def make_config(
        self, output: Path, mixes: list[str], sources: Sequence[str] = (), pairs: Path | None = None
    ) -> "ConvertConfig":
        """output, mixes, sources: after pipes and loose words of mixes were taken care of."""
        from facevc_cli.batch.run import ConvertConfig

        return ConvertConfig(
            sources=tuple(sources),
            output=output,
            faces=tuple(self.faces or ()),
            voices=tuple(self.voices or ()),
            pairs=pairs,
            checkpoint=self.checkpoint,
            vocoder=self.vocoder,
            name=self.name,
            temperature=self.temperature,
            on_many=self.on_many,
            device=self.device,
            limit=self.limit,
            overwrite=self.overwrite,
            dry_run=self.dry_run,
            fail_fast=self.fail_fast,
            voice_options=self.make_voice_options(mixes),
            batch_size=self.batch_size,
            watermark=self.watermark,
            sidecar=self.sidecar,
        )


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(OutputOptionFields):
    sources: opt.Sources
    pairs: Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)] = None
    engine: opt.Engine = "local"
    jobs: Annotated[int, Option("--jobs", "-j", min=0, help=JOBS, rich_help_panel=WORK)] = 0

    def make_config(
        self, output: Path, mixes: list[str], sources: Sequence[str] = (), pairs: Path | None = None
    ) -> "ConvertConfig":
        return replace(super().make_config(output, mixes, sources, pairs), engine=self.engine, jobs=self.jobs)
