"""`facevc pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage


@register_command("Learn", 10)
def pretrain(
    features: Annotated[Path, typer.Argument(help="The store of extract-features.", show_default=False)],
    voices: Annotated[Path, typer.Option("--voices", help="The store of extract-spkemb.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    preset: opt.Preset = "fvmvc",
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    encoder_init: Annotated[
        Path | None,
        typer.Option(
            "--encoder-init",
            metavar="FOLDER",
            help="A CTranslate2 Whisper model that a distilled content encoder starts from.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            metavar="RUN",
            help="A pretraining run or checkpoint whose weights to start from, with other settings.",
        ),
    ] = None,
    aligned: Annotated[
        Path | None,
        typer.Option(
            "--aligned",
            metavar="TABLE",
            help="Table (utterance, text_id): utterances of one text have the same words in the same frames.",
        ),
    ] = None,
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
    """Train the voice-to-voice model: content encoder, voice encoder and decoder. The same command resumes a run.

    Examples:

        facevc pretrain features.h5 --voices voices.h5 -o runs/pretrain --preset fvmvc

        accelerate launch --multi_gpu --no_python facevc pretrain features.h5 --voices voices.h5 -o run --precision bf16
    """
    from facevc_cli.stages.pretrain import PretrainStageConfig, run

    stage = PretrainStageConfig(
        features=features,
        voices=voices,
        output=output,
        preset=preset,
        config_file=config,
        overrides=tuple(settings or ()),
        encoder_init=encoder_init,
        init=init,
        aligned=aligned,
        sampling_weights=sampling_weights,
        device=device,
        precision=precision,
        seed=seed,
        overwrite=overwrite,
        stop_at=stop_at,
    )
    run_stage(lambda reporter: run(stage, reporter), json_out=json, quiet=quiet, debug=debug)
