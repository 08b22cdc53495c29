"""Runs one training of any family: builds it, opens its run folder, and starts the loop."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facevc_cli.core.choices import Precision
from facevc_cli.core.devices import seed_everything
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.core.settings import to_dict
from facevc_cli.families.base import Family, TrainingRequest
from facevc_cli.families.checkpoint import Checkpoint, read_weights_hash
from facevc_cli.files.hashes import hash_file
from facevc_cli.training.loop import Loop, Progress, make_accelerator
from facevc_cli.training.run_folder import RunDirectory


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run that do not depend on what is trained."""

    output: Path
    config_file: Path | None = None
    overrides: tuple[str, ...] = ()
    sampling_weights: Path | None = None  # table: utterance, weight
    device: str = "auto"
    precision: Precision = "no"
    seed: int = 0
    overwrite: bool = False
    stop_at: int | None = None


def run_training(
    family: Family, request: TrainingRequest, stage: str, options: RunOptions, inputs: Mapping[str, str], tally: Tally
) -> Progress:
    """Starts or resumes the run in `options.output`.

    stage: the command, and the training's name in its family. inputs: name -> hash of each input that must not change
    when a run resumes. FaceVCError if the family has no such training, or the inputs do not fit.
    """
    if stage not in family.trainings:
        raise FaceVCError(
            f"preset {request.config.name!r} is of the model family {family.name}, which has no {stage}. "
            f"It has: {', '.join(family.trainings)}. Choose one of these commands, or another preset."
        )
    seed_everything(request.seed)
    accelerator = make_accelerator(options.device, options.precision)
    main = accelerator.is_main_process
    request = replace(request, rank=accelerator.process_index, processes=accelerator.num_processes)
    training = family.trainings[stage](request)
    folder = RunDirectory(options.output)
    with ExitStack() as locked:
        if main:
            locked.enter_context(folder.lock())
        with accelerator.main_process_first():
            settings = to_dict(request.config)
            resume = folder.open(settings, stage, inputs, request.seed, options.overwrite and main, family.upgrade)
        if main:
            folder.remove_leftovers()
            folder.describe(request.seed, str(accelerator.device))
        task = training.make_task(resume)
        checkpoint = Checkpoint(
            task.model,
            request.config,
            training.frontend,
            stage,
            embedders=_collect_embedders(request),
            made_from=_hash_inputs(request) if main else {},
        )
        loop = Loop(task, training.run, training.training, training.validation, folder, checkpoint, accelerator)
        return loop.fit(tally, resume, options.stop_at)


def _hash_inputs(request: TrainingRequest) -> dict[str, Any]:
    """Returns the seed, and the sha256 of each store's content, each table and file, and the initial weights."""
    stores = {"features": request.features, "voices": request.voices, "faces": request.faces}
    files = {"pairs": request.pairs, "sampling-weights": request.sampling_weights, **request.files}
    hashes = {name: store.content_sha256 for name, store in stores.items() if store is not None}
    hashes |= {name: _hash_file_or_model(path) for name, path in files.items() if path is not None}
    if request.init_path is not None:
        hashes["init"] = read_weights_hash(request.init_path)
    return {"seed": request.seed, **hashes}


def _hash_file_or_model(path: Path) -> str:
    """Hashes a file, or the weights in a folder of CTranslate2."""
    return hash_file(path / "model.bin" if path.is_dir() else path)


def _collect_embedders(request: TrainingRequest) -> dict[str, Any]:
    """Returns the settings of the stores that voices and faces came from, or of the model that the training begins
    from. Without d-vectors, voices are log-mels.
    """
    before = {"voice": request.features.settings} if request.features is not None else {}
    if request.init is not None:
        before |= request.init.embedders
    stores = {"voice": request.voices, "face": request.faces}
    return before | {kind: store.settings for kind, store in stores.items() if store is not None}
