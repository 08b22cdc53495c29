"""Refining a pretraining: decoding in another's voice, the critic that hears it, and starting from another run's
weights.
"""

import math
import shutil
from pathlib import Path

import pytest
import torch
from helpers.pretraining import make_task
from helpers.stores import STARTER, Stores, pretrain, weights
from safetensors.torch import load_file
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.distilled_content import TeacherBottleneck
from facevc_cli.families.fvmvc.memory import VoiceMemory
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.fvmvc.voice_critic import REMEMBERED, VoiceCritic
from facevc_cli.families.presets import load_config
from facevc_cli.files.tables import read_table

pytestmark = pytest.mark.usefixtures("no_plots")
CROSS = (
    "pretrain.cross_voice=0.1",
    "pretrain.cross_content=1",
    "pretrain.critic_batch=4",
)
ONLY = {
    "cross_voice": "pretrain.cross_voice",
    "cross_content": "pretrain.cross_content",
}


def _task(stores: Stores, *overrides: str) -> tuple[PretrainTask, dict[str, torch.Tensor]]:
    return make_task(stores, "starter", *CROSS, *overrides)


# ---- the critic


def test_the_critic_learns_whose_mel_it_is():
    torch.manual_seed(0)
    critic = VoiceCritic(n_mels=80, voice_dim=16, channels=16)
    voices = F.normalize(torch.randn(4, 16), dim=-1)
    mel = torch.randn(4, 1, 80).expand(4, 24, 80) + 0.1 * torch.randn(4, 24, 80)
    optimiser = torch.optim.Adam(critic.parameters(), 0.01)
    for _ in range(40):
        loss = critic.compute_loss(mel, voices, voices.roll(1, 0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    own, other = (critic(mel) * voices).sum(-1), (critic(mel) * voices.roll(1, 0)).sum(-1)
    assert loss.item() < 1 and bool((own > other + 0.2).all())


def test_the_critics_loss_is_a_cross_entropy_among_remembered_voices():
    critic = VoiceCritic(voice_dim=16, channels=16)
    critic.remembered.zero_()  # cosines of 0
    with torch.no_grad():
        critic.log_scale.zero_()
    mel = torch.randn(2, 9, 80)
    heard = critic(mel)
    loss = critic.compute_loss(mel, heard, -heard)  # itself: cosine 1, the other: -1
    assert loss.item() == pytest.approx(math.log(math.e + REMEMBERED + 1 / math.e) - 1, rel=1e-5)
    assert heard.norm(dim=-1).tolist() == pytest.approx([1, 1], rel=1e-5)


def test_the_oldest_voices_are_forgotten():
    critic = VoiceCritic(voice_dim=4, channels=8)
    before = critic.remembered.clone()
    new = torch.eye(4)[:3]
    critic.remember(new)
    assert torch.equal(critic.remembered[-3:], new) and torch.equal(critic.remembered[:-3], before[3:])
    assert len(critic.remembered) == REMEMBERED


def test_one_frame_gives_no_nan():
    critic = VoiceCritic(voice_dim=4, channels=8)
    loss = critic.compute_loss(torch.randn(2, 1, 80), F.normalize(torch.randn(2, 4), dim=-1))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)


# ---- the terms


def test_crossed_speech_moves_the_decoder_and_nobody_else(starter_stores: Stores):
    task, batch = _task(starter_stores)
    reconstruction = task.auxiliary["reconstruction"]
    terms = task._compute_terms(batch, reconstruction(batch, True), 3, 1.0)
    named = [(n.removeprefix("model.").split(".")[0], p) for n, p in reconstruction.named_parameters()]
    named += [(n.split(".")[0], p) for n, p in task.auxiliary.named_parameters() if not n.startswith("reconstruction")]
    for term in ("cross_voice", "cross_content", "crossed_adversarial"):
        grads = torch.autograd.grad(terms[term][1], [p for _, p in named], retain_graph=True, allow_unused=True)
        assert {n for (n, _), g in zip(named, grads, strict=True) if g is not None and bool(g.abs().sum() > 0)} == {
            "decoder"
        }


def test_crossed_speech_has_the_others_voice_and_level(starter_stores: Stores):
    task, batch = _task(starter_stores)
    out = task.auxiliary["reconstruction"](batch, True)
    assert torch.equal(out["crossed_voice"], batch["dvector"].roll(1, 0)) and torch.equal(
        out["crossed_from"], batch["dvector"]
    )
    level = (batch["level"][:, 0].roll(1, 0), batch["level"][:, 1])
    expected = task.model.decode(out["z"], batch["lf0"], batch["dvector"].roll(1, 0), level)
    torch.testing.assert_close(out["crossed"], expected)


def test_a_critic_needs_voices_that_stand_still(toy_stores: Stores, tmp_path: Path):
    with pytest.raises(
        FaceVCError, match=r"cross_voice needs a fixed voice embedding. Set model.speaker_encoder=identity"
    ):
        pretrain(toy_stores, tmp_path, "toy", "pretrain.cross_voice=0.1")


@pytest.mark.parametrize("term", ONLY)
def test_each_term_alone(starter_stores: Stores, term: str):
    task, batch = _task(starter_stores, *(f"{setting}=0" for name, setting in ONLY.items() if name != term))
    figures = task.step(batch, 3)
    assert set(ONLY) & set(figures) == {term} and all(map(math.isfinite, figures.values()))
    assert ("critic" in task.optimisers) == (term == "cross_voice")


def test_at_first_the_critic_learns_alone_and_on_more_crops(starter_stores: Stores):
    task, batch = _task(starter_stores, "pretrain.critic_ahead=4")
    assert batch["more_mel"].shape == (4, 16, 80) and batch["more_dvector"].shape == (4, 16)
    before = {k: v.clone() for k, v in task.auxiliary.state_dict().items()}
    assert set(task.step(batch, 3)) == {"loss", "critic"}
    moved = {k.split(".")[0] for k, v in task.auxiliary.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"critic"} and torch.equal(task.auxiliary["critic"].remembered[-4:], batch["more_dvector"])
    assert {"reconstruction", "cross_voice"} <= set(task.step(batch, 4))


def test_resumed_equals_uninterrupted(starter_stores: Stores, tmp_path: Path):
    whole = pretrain(starter_stores, tmp_path / "whole", "starter", *CROSS).losses
    first = pretrain(starter_stores, tmp_path / "cut", "starter", *CROSS, stop_at=3).losses
    rest = pretrain(starter_stores, tmp_path / "cut", "starter", *CROSS).losses
    assert list({**first, **rest}.values()) == list(whole.values()) and len(rest) == 3


# ---- going on from another run


def test_init_starts_from_the_other_runs_weights_and_helpers(starter_stores: Stores, tmp_path: Path):
    pretrain(starter_stores, tmp_path / "first", "starter", stop_at=3)
    last = tmp_path / "first" / "checkpoints" / "last"
    still = ("pretrain.optimiser.learning_rate=1e-20", "pretrain.content_learning_rate=1e-20")  # no weight moves
    recorder = pretrain(starter_stores, tmp_path / "second", "starter", *CROSS, *still, init=last, stop_at=1)
    assert list(recorder.losses) == ["step 1"]
    before, after = weights(last), weights(tmp_path / "second" / "checkpoints" / "last")
    assert all(torch.equal(before[k], after[k]) for k in before)
    helpers = [
        load_file(run / "checkpoints" / "last" / "training" / "auxiliary.safetensors")
        for run in (tmp_path / "first", tmp_path / "second")
    ]
    shared = set(helpers[0]) & set(helpers[1])
    assert {name.split(".")[0] for name in shared} == {"reconstruction", "discriminator"}
    assert all(torch.equal(helpers[0][k], helpers[1][k]) for k in shared if k.startswith("reconstruction"))


def test_a_model_alone_goes_on_with_a_fitted_bottleneck_and_new_tokens(starter_stores: Stores, tmp_path: Path):
    """As from a folder to bundle, which has neither helpers nor tokens of a recording."""
    pretrain(starter_stores, tmp_path / "first", "starter", stop_at=3)
    alone = tmp_path / "alone"
    shutil.copytree(
        tmp_path / "first" / "checkpoints" / "last", alone, ignore=lambda folder, names: {"training"} & set(names)
    )
    still = ("pretrain.optimiser.learning_rate=1e-20", "pretrain.content_learning_rate=1e-20")
    tokens = ("model.decoder.recording_tokens=3", "pretrain.optimiser.weight_decay=0")
    pretrain(starter_stores, tmp_path / "second", "starter", *still, *tokens, init=alone, stop_at=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TeacherBottleneck, "fit", lambda self, pairs: None)
        pretrain(starter_stores, tmp_path / "third", "starter", *still, *tokens, init=alone, stop_at=1)
    fitted, unfitted = (
        float(read_table(tmp_path / run / "losses.csv", ("distillation",))[0]["distillation"])
        for run in ("second", "third")
    )
    assert fitted < 0.95 * unfitted
    before, after = weights(alone), weights(tmp_path / "second" / "checkpoints" / "last")
    assert all(torch.equal(before[k], after[k]) for k in before)
    new = {name.split(".")[1] for name in after.keys() - before.keys()}
    assert new == {"recording", "attentions"}
    scales = [after[k] for k in after if k.startswith("decoder.attentions.") and k.endswith("layer_scale")]
    assert max(float(scale.abs().max()) for scale in scales) < 1e-9  # at first the tokens change nothing


def test_init_from_another_model_or_front_end(starter_stores: Stores, toy_stores: Stores, tmp_path: Path):
    pretrain(starter_stores, tmp_path / "first", "starter", stop_at=1)
    with pytest.raises(FaceVCError, match=r"--init .*the weights do not fit the configuration"):
        pretrain(starter_stores, tmp_path / "second", "starter", "model.decoder.blocks=2", init=tmp_path / "first")
    with pytest.raises(FaceVCError, match=r"--init .* was trained on .*hifigan.*Extract the features as for that run"):
        pretrain(toy_stores, tmp_path / "third", "toy", init=tmp_path / "first")


def test_unit_recall():
    torch.manual_seed(0)
    memory = VoiceMemory(8, 6, unit_recall=True)
    plain = VoiceMemory(8, 6)
    plain.load_state_dict(memory.state_dict())
    address = memory.address(torch.randn(3, 8), "face")
    recalled = memory.recall(address)
    assert recalled.norm(dim=-1).tolist() == pytest.approx([1, 1, 1], rel=1e-5)
    torch.testing.assert_close(recalled, F.normalize(plain.recall(address), dim=-1))


def test_contrast_takes_a_recalled_voice_away_from_the_mean_of_the_memorys():
    from dataclasses import replace

    config = load_config("starter", overrides=(*STARTER, "model.unit_recall=true", "model.face_contrast=1")).model
    torch.manual_seed(0)
    plain, away = FaceVC(config), FaceVC(replace(config, face_contrast=2.0))
    away.load_state_dict(plain.state_dict())
    faces, voices = torch.randn(3, config.face_dim), F.normalize(torch.randn(2, config.voice_dim), dim=-1)
    recalled, centre = plain.recall_face(faces)[0], plain.memory.values.mean(0)
    torch.testing.assert_close(away.recall_face(faces)[0], F.normalize(2 * recalled - centre, dim=-1))
    torch.testing.assert_close(away.recall_face(faces)[1], plain.recall_face(faces)[1])  # the address stays
    torch.testing.assert_close(away.recall_voice(voices)[0], plain.recall_voice(voices)[0])  # a voice needs no contrast
    one = torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(away.mix_faces(faces, one)[0], away.recall_face(faces[:1])[0])
    log_address = away.recall_face(faces)[1].log()
    torch.testing.assert_close(away.predict_pitch_at(log_address), plain.predict_pitch(recalled))  # nor does a pitch
    assert not torch.allclose(away.predict_pitch(away.recall_face(faces)[0])[0], plain.predict_pitch(recalled)[0])
