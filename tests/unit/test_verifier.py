"""voices/teachers/campplus.py and the term that it judges: shapes of the published weights, what it must not hear, whom its gradients move."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stores import STARTER, Stores, pretrain
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.mel import MEL_DEFINITIONS, find_band_centres_hz
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.fvmvc.training_inputs import read_inputs
from facevc_cli.families.presets import load_config
from facevc_cli.training.loop import make_accelerator
from facevc_cli.voices.teachers.campplus import CAMPlusPlus, VoiceVerifier, filter_bank_centres_hz

pytestmark = pytest.mark.usefixtures("no_plots")
VERIFY = ("pretrain.verify_voice=1", "pretrain.verify_crops=1")
HIFIGAN = MEL_DEFINITIONS["hifigan"]


@pytest.fixture(scope="module")
def verifier():
    torch.manual_seed(0)
    return VoiceVerifier(HIFIGAN).eval()


def test_the_names_and_shapes_of_the_published_weights():
    state = CAMPlusPlus().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert len(shapes) == 937
    for name, shape in {
        "head.conv1.weight": (32, 1, 3, 3), "head.layer1.0.shortcut.0.weight": (32, 32, 1, 1), "xvector.tdnn.linear.weight": (128, 320, 5),
        "xvector.block1.tdnnd1.linear1.weight": (128, 128, 1), "xvector.block3.tdnnd16.cam_layer.linear_local.weight": (32, 128, 3),
        "xvector.block3.tdnnd16.cam_layer.linear2.bias": (32,), "xvector.transit3.nonlinear.batchnorm.weight": (1024,),
        "xvector.transit3.linear.weight": (512, 1024, 1), "xvector.out_nonlinear.batchnorm.bias": (512,), "xvector.dense.linear.weight": (192, 1024, 1),
        "xvector.dense.nonlinear.batchnorm.running_mean": (192,),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name
    assert "xvector.dense.nonlinear.batchnorm.weight" not in shapes and "xvector.transit1.linear.bias" not in shapes


def test_kaldis_bands():
    centres = filter_bank_centres_hz()
    assert len(centres) == 80 and 20 < centres[0] < 60 and 7500 < centres[-1] < 8000
    steps = np.diff(1127 * np.log1p(centres / 700))
    np.testing.assert_allclose(steps, steps[0])


def test_loudness_and_microphone_are_not_heard(verifier):
    mel = torch.randn(2, 120, 80)
    heard = verifier(mel)
    assert heard.shape == (2, 192) and heard.norm(dim=-1).tolist() == pytest.approx([1, 1], rel=1e-5)
    torch.testing.assert_close(verifier(mel + 3 + torch.randn(80)), heard, atol=1e-4, rtol=1e-3)


def test_bands_are_found_at_their_frequencies(verifier):
    centres = torch.from_numpy(find_band_centres_hz(HIFIGAN)).float()
    found = torch.lerp(centres[verifier.low], centres[verifier.low + 1], verifier.share)
    wanted = np.clip(filter_bank_centres_hz(), float(centres[0]), float(centres[-1]))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize("frames", [2, 7, 250])
def test_gradients_reach_the_mel_whatever_its_length(verifier, frames):
    mel = torch.randn(1, frames, 80, requires_grad=True)
    verifier(mel)[0, 0].backward()
    assert bool(torch.isfinite(mel.grad).all()) and bool(mel.grad.abs().sum() > 0)


def _task(stores: Stores, verifier: VoiceVerifier | None) -> tuple[PretrainTask, dict[str, torch.Tensor]]:
    config = load_config("starter", overrides=(*STARTER, *VERIFY))
    inputs = read_inputs(Store(stores.features), Store(stores.voices), config, config.pretrain, 0, teacher=True)
    torch.manual_seed(0)
    task = PretrainTask(FaceVC(config.model), config, 0, verifier)
    task.prepare(make_accelerator("cpu", "no"))
    return task, inputs.training[0]


def test_no_term_without_a_verifier(starter_stores: Stores, tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"verify_voice needs a voice verifier. Pass --verifier FILE"):
        pretrain(starter_stores, tmp_path, "starter", *VERIFY)


def test_weights_of_another_network(starter_stores: Stores, tmp_path: Path):
    save_file({"head.conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(FaceVCError, match=r"--verifier .*other.safetensors: the weights do not fit"):
        pretrain(starter_stores, tmp_path / "run", "starter", *VERIFY, verifier=tmp_path / "other.safetensors")


def test_a_run_with_a_verifier(starter_stores: Stores, tmp_path: Path):
    save_file(CAMPlusPlus().state_dict(), tmp_path / "verifier.safetensors")
    pretrain(starter_stores, tmp_path / "run", "starter", *VERIFY, verifier=tmp_path / "verifier.safetensors", stop_at=2)
    assert "verify_voice" in (tmp_path / "run" / "losses.csv").read_text().splitlines()[0]


def test_the_verifier_is_frozen_and_the_decoder_alone_moves(starter_stores: Stores):
    verifier = VoiceVerifier(HIFIGAN)
    task, batch = _task(starter_stores, verifier)
    before = {name: tensor.clone() for name, tensor in verifier.state_dict().items()}
    reconstruction = task.auxiliary["reconstruction"]
    term = task._compute_terms(batch, reconstruction(batch, True), 3, 1.0)["verify_voice"][1]
    named = list(reconstruction.named_parameters())
    grads = torch.autograd.grad(term, [p for _, p in named], retain_graph=True, allow_unused=True)
    moved = {n.removeprefix("model.").split(".")[0] for (n, _), g in zip(named, grads, strict=True) if g is not None and bool(g.abs().sum() > 0)}
    assert moved == {"decoder"}
    assert math.isfinite(task.step(batch, 3)["verify_voice"])
    assert all(torch.equal(before[name], tensor) for name, tensor in verifier.state_dict().items()) and not verifier.training


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
