"""train.py RUN INIT PIECES...: train the light vocoder INIT. The same command resumes, with the losses of one run.

RUN/checkpoints/last is a vocoder for `facevc convert --vocoder`, from the first checkpoint on. RUN/losses.csv has the
figures.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from pieces import CropBatches, PieceStore, has_pieces
from training import LIMITS, Config, LightCheckpoints, LightTask

from facevc_cli.cli.report import run_stage
from facevc_cli.core.devices import seed_everything
from facevc_cli.core.parsing import parse_settings, read_text
from facevc_cli.core.progress import Reporter, Summary, Tally
from facevc_cli.core.settings import from_dict, to_dict
from facevc_cli.core.stopping import handle_signals
from facevc_cli.files.hashes import hash_file
from facevc_cli.training.loop import Loop, make_accelerator
from facevc_cli.training.run_folder import RunDirectory
from facevc_cli.training.weights import load_weights
from facevc_cli.vocoders.light import WEIGHTS, read_header, read_light_sizes


def read_config(path: Path | None, steps: int | None, batch_size: int | None) -> Config:
    tree = {} if path is None else parse_settings(read_text(path), str(path))
    config = from_dict(Config, tree, str(path), LIMITS)
    changes = {"steps": steps, "batch_size": batch_size}
    return replace(config, train=replace(config.train, **{k: v for k, v in changes.items() if v is not None}))


def make_batches(folders: list[Path], split: str, config: Config, seed: int) -> CropBatches:
    stores = [PieceStore(folder, split, config.train.crop_frames) for folder in folders]
    return CropBatches(stores, config.train.batch_size, seed)


def train(
    folder: Path,
    init: Path,
    pieces: list[Path],
    config: Config,
    reporter: Reporter,
    device: str = "auto",
    precision: str = "no",
    seed: int = 0,
    stop_at: int | None = None,
) -> Summary:
    seed_everything(seed)
    torch.set_float32_matmul_precision("high")
    accelerator = make_accelerator(device, precision)  # type: ignore[arg-type]
    run, stage = RunDirectory(folder), "train"  # its settings are the group train
    header = read_header(init)
    sizes = read_light_sizes(init, header)
    checkpoints = LightCheckpoints(stage, sizes)
    inputs = {f"pieces {number}": hash_file(path / "index.csv") for number, path in enumerate(pieces)}
    inputs["init"] = header["weights_sha256"]
    tally = Tally(reporter)
    with run.lock():
        resume = run.open(to_dict(config), stage, inputs, seed, overwrite=False)
        run.remove_leftovers()
        run.describe(seed, str(accelerator.device))
        task = LightTask(config, sizes, seed)
        if not resume:
            load_weights(task.model, checkpoints.read_weights(init), str(init / WEIGHTS))
        crop = config.train.crop_frames
        validated = [folder for folder in pieces if has_pieces(folder, "valid", crop)]
        batches = make_batches(pieces, "train", config, seed)
        validation = make_batches(validated, "valid", config, seed + 1) if validated else None
        loop = Loop(task, config.train, batches, validation, run, checkpoints, accelerator)
        progress = loop.fit(tally, resume, stop_at)
    following = f"facevc convert SOURCE.wav --face FACE.jpg --vocoder {folder / 'checkpoints' / 'last'} -o out.wav"
    return tally.summarise(folder, following, step=progress.step, validation=progress.validation)


def main(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    init: Annotated[Path, typer.Argument(help="A vocoder's folder to begin from.")],
    pieces: Annotated[list[Path], typer.Argument(help="Folders of pieces. Half of all crops come from the last one.")],
    config: Annotated[Path | None, typer.Option(help="A YAML file with the group train.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of the whole run; default: the config's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Crops in a batch; default: the config's.")] = None,
    stop_at: Annotated[int | None, typer.Option(min=1, help="Stop after this step; run again to go on.")] = None,
    device: str = "auto",
    precision: str = "no",
    seed: int = 0,
) -> None:
    run_stage(
        lambda reporter: train(
            run, init, pieces, read_config(config, steps, batch_size), reporter, device, precision, seed, stop_at
        ),
        json_out=False,
        quiet=False,
        debug=False,
    )


if __name__ == "__main__":
    with handle_signals():
        typer.run(main)
