"""A pretraining's task, ready to step, and what a step changes."""

from pathlib import Path

import torch
from helpers.stores import STARTER, TOY, Stores
from torch import Tensor

from facevc_cli.corpus.store import Store
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.fvmvc.training_inputs import read_inputs
from facevc_cli.families.presets import load_config
from facevc_cli.training.loop import make_accelerator


def make_task(
    stores: Stores, preset: str, *overrides: str, aligned: Path | None = None
) -> tuple[PretrainTask, dict[str, Tensor]]:
    """A task on the shrunken preset, and its first batch."""
    config = load_config(preset, overrides=(*{"toy": TOY, "starter": STARTER}[preset], *overrides))
    settings = config.pretrain
    inputs = read_inputs(
        Store(stores.features),
        Store(stores.voices),
        config,
        settings,
        0,
        teacher=settings.distillation > 0,
        more=settings.critic_batch if settings.cross_voice > 0 else 0,
        aligned=aligned,
        references=config.model.decoder.recording_tokens > 0,
    )
    torch.manual_seed(0)
    task = PretrainTask(FaceVC(config.model), config, 0)
    task.prepare(make_accelerator("cpu", "no"))
    return task, inputs.training[0]


def copy_state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def find_changed(before: dict[str, Tensor], module: torch.nn.Module) -> set[str]:
    """Names of the tensors that changed."""
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
