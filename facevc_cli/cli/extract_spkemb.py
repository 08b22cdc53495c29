"""`facevc extract-spkemb`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage


@register_command("Prepare", 40, other_names=("extract-voice",))
def extract_spkemb(
    sources: opt.Sources,
    output: Annotated[Path, typer.Option("--out", "-o", help="The store to write, for example voices.h5.")],
    speaker_pattern: opt.SpeakerPattern = None,
    speakers: opt.SpeakersTable = None,
    engine: opt.Engine = "local",
    jobs: opt.Jobs = 0,
    device: opt.Device = "cpu",
    root: opt.Root = None,
    shard: opt.Shard = None,
    keep_shards: opt.KeepShards = None,
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Embed the voice of every recording: one Resemblyzer d-vector (256 numbers) per utterance.

    `facevc extract-voice` is another name of this command.

    Examples:

        facevc extract-spkemb wavs/ -o voices.h5

        facevc extract-voice @train.txt -o voices.h5 --speaker-pattern '^([^/]+)/'
    """
    from facevc_cli.stages.extract_spkemb import ExtractSpkembConfig, run

    config = ExtractSpkembConfig(
        sources=tuple(sources),
        output=output,
        speaker_pattern=speaker_pattern,
        speakers_table=speakers,
        engine=engine,
        jobs=jobs,
        device=device,
        root=root,
        shard=shard,
        keep_shards=keep_shards,
        limit=limit,
        overwrite=overwrite,
        dry_run=dry_run,
        fail_fast=fail_fast,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, verbose=verbose, debug=debug)
