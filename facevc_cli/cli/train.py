"""`facevc train`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage


def train(
    features: Annotated[Path, typer.Argument(help="The store of extract-features.", show_default=False)],
    faces: Annotated[Path, typer.Option("--faces", help="The store of extract-face.")],
    voices: Annotated[Path, typer.Option("--voices", help="The store of extract-spkemb.")],
    init: Annotated[
        Path, typer.Option("--init", metavar="RUN", help="The pretraining run, or one of its checkpoints.")
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="TABLE.csv",
            help="Join faces and voices of different clips or people: columns utterance or speaker, and face.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Default: the pretraining's.", rich_help_panel=opt.MODEL)
    ] = None,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    sampling_weights: opt.SamplingWeights = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "no",
    seed: opt.Seed = 0,
    stop_at: opt.StopAt = None,
    overwrite: opt.Overwrite = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Train the memory-based face-voice model with mixed supervision. The same command resumes a run.

    Examples:

        facevc train features.h5 --faces faces.h5 --voices voices.h5 --init runs/pretrain -o runs/train

        facevc train features.h5 --faces faces.h5 --voices voices.h5 --init runs/pretrain -o run --set model.temperature=0.1
    """
    from facevc_cli.stages.train import TrainStageConfig, run

    stage = TrainStageConfig(
        features=features,
        faces=faces,
        voices=voices,
        init=init,
        output=output,
        pairs=pairs,
        preset=preset,
        config_file=config,
        overrides=tuple(settings or ()),
        sampling_weights=sampling_weights,
        device=device,
        precision=precision,
        seed=seed,
        overwrite=overwrite,
        stop_at=stop_at,
    )
    run_stage(lambda reporter: run(stage, reporter), json_out=json, quiet=quiet, debug=debug)
