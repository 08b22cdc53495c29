"""The term verify_voice of pretraining: what it needs, its value, and whom its gradients move."""

import math
from pathlib import Path

import pytest
import torch
from helpers.pretraining import make_task
from helpers.stores import Stores, pretrain
from safetensors.torch import save_file
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.voices.teachers.campplus import CAMPlusPlus, VoiceVerifier

pytestmark = pytest.mark.usefixtures("no_plots")
VERIFY = ("pretrain.verify_voice=1", "pretrain.verify_crops=1")
HIFIGAN = MEL_DEFINITIONS["hifigan"]


def _task(stores: Stores, verifier: VoiceVerifier | None) -> tuple[PretrainTask, dict[str, torch.Tensor]]:
    return make_task(stores, "starter", *VERIFY, verifier=verifier)


def test_no_term_without_a_verifier(starter_stores: Stores, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"verify_voice needs a voice verifier. Pass --verifier FILE"):
        pretrain(starter_stores, tmp_path, "starter", *VERIFY)


def test_weights_of_another_network(starter_stores: Stores, tmp_path: Path):
    save_file({"head.conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(FaceVCError, match=r"--verifier .*other.safetensors: the weights do not fit"):
        pretrain(starter_stores, tmp_path / "run", "starter", *VERIFY, verifier=tmp_path / "other.safetensors")


def test_a_run_with_a_verifier(starter_stores: Stores, tmp_path: Path):
    save_file(CAMPlusPlus().state_dict(), tmp_path / "verifier.safetensors")
    pretrain(
        starter_stores, tmp_path / "run", "starter", *VERIFY, verifier=tmp_path / "verifier.safetensors", stop_at=2
    )
    assert "verify_voice" in (tmp_path / "run" / "losses.csv").read_text().splitlines()[0]


def test_the_verifier_is_frozen_and_the_decoder_alone_moves(starter_stores: Stores):
    verifier = VoiceVerifier(HIFIGAN)
    task, batch = _task(starter_stores, verifier)
    before = {name: tensor.clone() for name, tensor in verifier.state_dict().items()}
    reconstruction = task.auxiliary["reconstruction"]
    term = task._compute_terms(batch, reconstruction(batch, True), 3, 1.0)["verify_voice"][1]
    named = list(reconstruction.named_parameters())
    grads = torch.autograd.grad(term, [p for _, p in named], retain_graph=True, allow_unused=True)
    moved = {
        n.removeprefix("model.").split(".")[0]
        for (n, _), g in zip(named, grads, strict=True)
        if g is not None and bool(g.abs().sum() > 0)
    }
    assert moved == {"decoder"}
    assert math.isfinite(task.step(batch, 3)["verify_voice"])
    assert (
        all(torch.equal(before[name], tensor) for name, tensor in verifier.state_dict().items())
        and not verifier.training
    )


def test_the_terms_value(starter_stores: Stores):
    """Worked out on embeddings that are given: crops of the batch's first, asked for the last one's voice."""
    task, batch = _task(starter_stores, VoiceVerifier(HIFIGAN))
    mel = batch["mel"]
    real = F.normalize(torch.randn(len(mel), 192), dim=-1)
    heard = F.normalize(real[:1] + 0.5 * real[-1:], dim=-1)  # too much of the speaker
    answers = iter([real, heard])
    task.verifier.forward = lambda _: next(answers)
    left = float(heard[0] @ real[0] - real[-1] @ real[0])
    assert left > 0
    expected = 1 - float(heard[0] @ real[-1]) + 0.5 * left
    assert float(task._measure_verification(mel, mel)) == pytest.approx(expected, abs=1e-5)
