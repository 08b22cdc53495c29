"""`facevc train`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage


@register_command("Learn", 20)
def train(
    stores: Annotated[
        list[Path],
        typer.Argument(
            help="The stores of extract-features, extract-face and extract-spkemb, as far as the preset needs them. "
            "The options below can name the last two.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    faces: Annotated[Path | None, typer.Option("--faces", help="The store of extract-face.")] = None,
    voices: Annotated[Path | None, typer.Option("--voices", help="The store of extract-spkemb.")] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            metavar="RUN",
            help="The pretraining run, or one of its checkpoints. Presets that only rank need none.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="TABLE.csv",
            help="Join faces and voices of different clips or people: columns utterance or speaker, and face. Presets "
            "of xfavot: speaker, face and gender; an empty cell is a person of pictures or of recordings alone.",
        ),
    ] = None,
    content: Annotated[
        Path | None,
        typer.Option(
            "--content",
            metavar="RUN",
            help="The model that hears the words, for presets of xfavot. Default: the bundled one.",
            show_default=False,
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
    """Train the link from faces to voices. The same command resumes a run.

    With --init it is the memory of a pretrained model, for conversion. With --preset cmpc it is a small model that
    ranks faces and voices for 'nearest', on stored embeddings. With --preset cmpc-resnet it is a large one, on crops
    and log-mels. With --preset xfavot-64 it is a model of pictures and speech in one space of styles; it needs crops in
    the store of faces, and no d-vectors.

    Examples:

        facevc train features.h5 --faces faces.h5 --voices voices.h5 --init runs/pretrain -o runs/train

        facevc train features.h5 --faces faces.h5 --voices voices.h5 --init runs/pretrain -o out --pairs pairs.csv

        facevc train faces.h5 voices.h5 --preset cmpc -o runs/cmpc

        facevc train crops.h5 features.h5 --preset cmpc-resnet -o runs/resnet --precision bf16

        facevc train features.h5 faces.h5 --preset xfavot-64 --pairs people.csv -o runs/xfavot
    """
    from facevc_cli.stages.train import TrainStageConfig, run

    stage = TrainStageConfig(
        stores=tuple(stores),
        faces=faces,
        voices=voices,
        init=init,
        output=output,
        pairs=pairs,
        content=content,
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
