"""`facevc extract-features`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage
from facevc_cli.core import choices

MEL = "fvmvc (16 kHz, the paper's), hifigan (22.05 kHz, the starter's) or xfavot (24 kHz)."


@register_command("Prepare", 20)
def extract_features(
    sources: opt.Sources,
    output: Annotated[Path, typer.Option("--out", "-o", help="The store to write, for example features.h5.")],
    mel: Annotated[
        choices.MelName, typer.Option("--mel", metavar="NAME", parser=opt.make_choice_parser(choices.MelName), help=MEL)
    ] = "fvmvc",
    split: Annotated[
        Path | None,
        typer.Option(
            "--split", metavar="TABLE.csv", help="Columns utterance or speaker, and split: train, valid or test."
        ),
    ] = None,
    valid_share: Annotated[
        float,
        typer.Option(
            "--valid-share", help="Share of the speakers that are drawn for validation, if there is no --split."
        ),
    ] = 0.05,
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="FOLDER",
            help="A CTranslate2 Whisper model. Its encoder's output is stored for the preset starter.",
        ),
    ] = None,
    speaker_pattern: opt.SpeakerPattern = None,
    speakers: opt.SpeakersTable = None,
    engine: opt.Engine = "local",
    jobs: opt.Jobs = 0,
    device: opt.Device = "cpu",
    seed: opt.Seed = 0,
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
    """Compute the log-mel and F0 of every recording, draw the splits, and compute the statistics of the training split.

    Examples:

        facevc extract-features wavs/ -o features.h5 --mel hifigan

        facevc extract-features wavs/ -o features.h5 --split splits.csv --shard 1/4
    """
    from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

    run_stage(
        lambda reporter: run(
            ExtractFeaturesConfig(
                sources=tuple(sources),
                output=output,
                speaker_pattern=speaker_pattern,
                speakers_table=speakers,
                engine=engine,
                jobs=jobs,
                root=root,
                shard=shard,
                keep_shards=keep_shards,
                limit=limit,
                overwrite=overwrite,
                dry_run=dry_run,
                fail_fast=fail_fast,
                mel=mel,
                split_table=split,
                valid_share=valid_share,
                seed=seed,
                teacher=teacher,
                device=device,
            ),
            reporter,
        ),
        json_out=json,
        quiet=quiet,
        verbose=verbose,
        debug=debug,
    )
