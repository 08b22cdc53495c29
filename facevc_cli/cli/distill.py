"""`facevc distill`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage


@register_command("Learn", 25)
def distill(
    features: Annotated[Path, typer.Argument(help="The store of extract-features.", show_default=False)],
    output: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    init: Annotated[
        Path | None,
        typer.Option(
            "--init", metavar="RUN", help="The finished model: a run or checkpoint. Default: the bundled starter."
        ),
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
    """Train a causal content encoder for live conversion. The same command resumes a run.

    A small network learns to hear what the model's content encoder hears, with at most 70 ms of what follows. The rest
    of the model does not change.

    Examples:

        facevc distill features.h5 --set model.stream_encoder.width=320 -o runs/distill

        facevc distill features.h5 --init runs/train --set model.stream_encoder.width=320 -o out
    """
    from facevc_cli.stages.distill import DistillStageConfig, run

    stage = DistillStageConfig(
        features=features,
        output=output,
        init=init,
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
