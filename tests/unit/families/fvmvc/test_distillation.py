"""The training of the causal content encoder: it learns, and the rest of the model stays as it was to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.stores import RUN, Stores

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.families.base import Capability
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.tables import read_table
from facevc_cli.stages.distill import DistillStageConfig, run

pytestmark = pytest.mark.usefixtures("no_plots")
SMALL = (
    *(f"distill.{setting}" for setting in (*RUN, "optimiser.warmup_steps=2", "crop_frames=48")),
    "model.stream_encoder={width: 16, blocks: 2, lookahead_frames: 4}",
)


def distill(stores: Stores, init: Path, output: Path, *overrides: str, **stage) -> None:
    given = {"features": stores.features, "output": output, "init": init, "device": "cpu"}
    run(DistillStageConfig(**{**given, "overrides": (*SMALL, *overrides), **stage}))


@pytest.fixture(scope="module")
def student(starter_stores: Stores, starter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distill") / "run"
    distill(starter_stores, starter_run, folder, "distill.steps=40", "distill.degrade_recordings=0.3")
    return folder


def test_only_the_student_is_new(student: Path, starter_run: Path):
    before, after = load_checkpoint(starter_run), load_checkpoint(student)
    assert Capability.STREAM not in before.model.capabilities and Capability.STREAM in after.model.capabilities
    known = before.model.state_dict()
    for name, tensor in after.model.state_dict().items():
        if not name.startswith("stream_encoder."):
            torch.testing.assert_close(tensor, known.pop(name), rtol=0, atol=0)
    assert not known
    assert after.embedders["voice"] == before.embedders["voice"]
    assert after.stage == "distill"


def test_the_student_comes_nearer_to_the_content(student: Path):
    rows = read_table(student / "losses.csv", ("step", "loss"))
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_a_resumed_run_ends_with_the_same_weights(student: Path, starter_stores: Stores, starter_run: Path, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    distill(starter_stores, starter_run, whole)
    distill(starter_stores, starter_run, resumed, stop_at=3)
    distill(starter_stores, starter_run, resumed)
    a, b = (load_checkpoint(folder / "checkpoints" / "last").model.state_dict() for folder in (whole, resumed))
    for name, tensor in a.items():
        torch.testing.assert_close(b[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.stream_encoder.width=0",), "--set model.stream_encoder.width=320"),
        (("distill.crop_frames=16",), "expected at least 30"),
    ],
)
def test_settings_that_cannot_train(starter_stores: Stores, starter_run: Path, tmp_path, overrides, message):
    with pytest.raises(UsageError, match=message):
        distill(starter_stores, starter_run, tmp_path / "run", *overrides)


def test_features_of_another_front_end_and_another_model(
    toy_stores: Stores, starter_stores: Stores, starter_run: Path, tmp_path
):
    with pytest.raises(FaceVCError, match="log-mel is 'fvmvc'"):
        distill(toy_stores, starter_run, tmp_path / "a")
    with pytest.raises(FaceVCError, match=r"Change nothing of model but model\.stream_encoder"):
        distill(starter_stores, starter_run, tmp_path / "b", "model.decoder.blocks=2")
