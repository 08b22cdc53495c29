"""`facevc extract-face`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.convert_options import OnMany
from facevc_cli.cli.report import run_stage
from facevc_cli.core import choices

DETECTOR = "dlib, face-alignment (S3FD, an extra) or mtcnn (the paper's, extra facenet)."


@register_command("Prepare", 30)
def extract_face(
    sources: opt.Sources,
    output: Annotated[Path, typer.Option("--out", "-o", help="The store to write, for example faces.h5.")],
    detector: Annotated[
        choices.DetectorName,
        typer.Option("--detector", metavar="NAME", parser=opt.make_choice_parser(choices.DetectorName), help=DETECTOR),
    ] = "dlib",
    embedder: Annotated[
        str,
        typer.Option(
            "--embedder",
            help=(
                "fused (162 numbers: dlib's, and what two more networks see), dlib (128), facenet (512, the paper's, "
                "an extra), or the name of an installed package's embedder."
            ),
        ),
    ] = "fused",
    on_many: OnMany = "largest",
    every: Annotated[int, typer.Option("--every", min=1, help="Look at each n-th frame of a video.")] = 5,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", min=1, help="Look at no more than N frames of a video.")
    ] = None,
    save_crops: Annotated[
        Path | None,
        typer.Option("--save-crops", metavar="DIR", help="Also write what the network saw, one picture per frame."),
    ] = None,
    store_crops: Annotated[
        int | None,
        typer.Option(
            "--store-crops",
            metavar="PX",
            min=64,
            max=256,
            help="Also keep the faces in the store: level, PX x PX pixels, for trainings that look at pictures.",
        ),
    ] = None,
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
    """Find, align and embed the face in every image, and in every n-th frame of every video.

    Examples:

        facevc extract-face photos/ -o faces.h5 --save-crops crops/

        facevc extract-face clips/ -o faces.h5 --every 10 --on-many skip

        facevc extract-face photos/ -o crops.h5 --store-crops 128
    """
    from facevc_cli.stages.extract_face import ExtractFaceConfig, run

    config = ExtractFaceConfig(
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
        detector=detector,
        embedder=embedder,
        on_many=on_many,
        every=every,
        max_frames=max_frames,
        save_crops=save_crops,
        crop_px=store_crops,
        device=device,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, verbose=verbose, debug=debug)
