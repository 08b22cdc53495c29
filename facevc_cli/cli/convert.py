"""`facevc convert`."""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage


def convert(
    sources: opt.Sources,
    output: own.Out,
    faces: own.Faces = None,
    voices: own.Voices = None,
    pairs: own.Pairs = None,
    name: own.Name = "{source}__{face}.wav",
    checkpoint: opt.Checkpoint = None,
    vocoder: own.Vocoder = None,
    temperature: own.Temperature = None,
    on_many: own.OnMany = "largest",
    baselines: own.Baselines = None,
    degrade: own.Degrade = None,
    labels: own.Labels = None,
    sources_table: own.SourcesTable = None,
    protocol: own.Protocol = None,
    system: own.System = None,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
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

        facevc convert wavs/ --face faces/ -o benchmark/ --baseline shuffled-faces --degrade blur=4
    """
    from facevc_cli.stages.convert import Benchmark, ConvertConfig, run

    with tempfile.TemporaryDirectory() as temporary:
        piped_out = str(output) == "-"
        if "-" in sources:
            piped_in = str(_stdin(Path(temporary)))
            sources = [piped_in if s == "-" else s for s in sources]
        out = Path(temporary) / "converted.wav" if piped_out else output
        config = ConvertConfig(
            tuple(sources), out, tuple(faces or ()), tuple(voices or ()), pairs, checkpoint, vocoder, name, temperature, on_many, device, limit,
            overwrite, dry_run, fail_fast, system, Benchmark(tuple(baselines or ()), tuple(degrade or ()), labels, sources_table, protocol, seed),
        )  # fmt: skip
        try:
            run_stage(
                # the file behind a pipe is nobody's business
                lambda reporter: replace(run(config, reporter), output=None if piped_out else output),
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
