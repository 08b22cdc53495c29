"""`facevc convert`."""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage

OUT = "A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout."
PAIRS = "Columns source and face (or voice): convert only these."
VOCODER = "auto, hifigan, griffin-lim, or a Parallel WaveGAN / HiFi-GAN checkpoint."
TEMPERATURE = "Of the memory's address; lower is sharper. Default: the model's."


def convert(
    sources: opt.Sources,
    output: Annotated[Path, Option("--out", "-o", help=OUT)],
    faces: Annotated[list[str] | None, Option("--face", metavar="IMG_OR_FOLDER", help="A face image or a folder; may be repeated.")] = None,
    voices: Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help="A voice instead; may be repeated.")] = None,
    pairs: Annotated[Path | None, Option("--pairs", metavar="TABLE.csv", help=PAIRS)] = None,
    name: Annotated[str, Option("--name", help="Of the outputs; {source} and {face} are the inputs' ids.")] = "{source}__{face}.wav",
    checkpoint: opt.Checkpoint = None,
    vocoder: Annotated[str | None, Option("--vocoder", help=VOCODER, rich_help_panel=opt.MODEL)] = None,
    temperature: Annotated[float | None, Option("--temperature", help=TEMPERATURE, rich_help_panel=opt.MODEL)] = None,
    on_many: Annotated[str, Option("--on-many", help="Several faces in an image: largest, or skip.", rich_help_panel=opt.WORK)] = "largest",
    device: opt.Device = "auto",
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Convert every source into the voice of every face: one wav each, and a manifest.csv in the output folder.

    Examples:

        facevc convert examples/speech.wav --face examples/face.jpg -o out.wav

        facevc convert wavs/ --face faces/ -o converted/ --name '{source}__{face}.flac'
    """
    from facevc_cli.stages.convert import ConvertConfig, run

    with tempfile.TemporaryDirectory() as temporary:
        piped_out = str(output) == "-"
        if "-" in sources:
            piped_in = str(_stdin(Path(temporary)))
            sources = [piped_in if s == "-" else s for s in sources]
        out = Path(temporary) / "converted.wav" if piped_out else output
        config = ConvertConfig(
            tuple(sources), out, tuple(faces or ()), tuple(voices or ()), pairs, checkpoint, vocoder, name, temperature, on_many, device,
            limit, overwrite, dry_run, fail_fast,
        )  # fmt: skip
        shown: dict[str, Any] = {"output": None} if piped_out else {}  # the file behind a pipe is nobody's business
        try:
            run_stage(
                lambda reporter: replace(run(config, reporter), **shown),
                json_out=json and not piped_out, quiet=quiet, verbose=verbose, debug=debug,
            )  # fmt: skip
        finally:
            if piped_out and out.exists():
                with open(out, "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)


def _stdin(folder: Path) -> Path:
    path = folder / "stdin.wav"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
