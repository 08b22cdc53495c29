"""`facevc extract-wav`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage


@register_command("Prepare", 10)
def extract_wav(
    sources: opt.Sources,
    output: Annotated[Path, typer.Option("--out", "-o", help="The folder to write the wavs and manifest.csv to.")],
    rate: Annotated[int, typer.Option("--rate", metavar="HZ", help="Sampling rate of the wavs.")] = 16000,
    speaker_pattern: opt.SpeakerPattern = None,
    speakers: opt.SpeakersTable = None,
    engine: opt.Engine = "local",
    jobs: opt.Jobs = 0,
    root: opt.Root = None,
    shard: opt.Shard = None,
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Extract the sound of videos and recordings as mono 16-bit wavs. The output has the same folders, and a manifest.

    Examples:

        facevc extract-wav videos/ -o wavs/

        facevc extract-wav clips/ -o wavs/ --speaker-pattern '^(s[0-9]+)/' --jobs 8
    """
    from facevc_cli.stages.extract_wav import ExtractWavConfig, run

    config = ExtractWavConfig(
        sources=tuple(sources),
        output=output,
        speaker_pattern=speaker_pattern,
        speakers_table=speakers,
        engine=engine,
        jobs=jobs,
        root=root,
        shard=shard,
        limit=limit,
        overwrite=overwrite,
        dry_run=dry_run,
        fail_fast=fail_fast,
        rate=rate,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, verbose=verbose, debug=debug)
