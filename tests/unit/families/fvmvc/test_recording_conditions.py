"""families/fvmvc/recording_conditions.py: rooms and noise on log-mels, and who hears them in training."""

import math

import pytest
import torch
from helpers.pretraining import make_task
from helpers.stores import Stores

from facevc_cli.dsp.mel import MEL_DEFINITIONS, find_band_centres_hz
from facevc_cli.families.fvmvc import recording_conditions
from facevc_cli.families.fvmvc.recording_conditions import RecordingConditions, add_reverberation, scale_to_snr

pytestmark = pytest.mark.usefixtures("no_plots")


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_crop_gets_conditions_of_its_own_and_a_seed_gives_them_again():
    conditions = RecordingConditions(MEL_DEFINITIONS["hifigan"])
    mel = torch.randn(1, 40, 80, generator=draw()).expand(3, 40, 80)
    first, again, other = (conditions(mel, draw(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.allclose(first[0], first[1]) and torch.isfinite(first).all()


def test_a_click_in_a_room_decays_by_60_db():
    power = torch.zeros(2, 50, 3)
    power[:, 10] = 1.0
    heard = add_reverberation(power, torch.tensor([20.0, 30.0]), torch.tensor([0.5, 2.0]))
    assert torch.equal(heard[:, :11], power[:, :11])  # nothing before the click
    assert heard[0, 11:, 0].sum().item() == pytest.approx(0.5, rel=0.05)
    for row, decay in ((0, 20), (1, 30)):
        fall_db = 10 * math.log10(heard[row, 11, 0] / heard[row, 11 + 6, 0])
        assert fall_db == pytest.approx(60 * 6 / decay, rel=1e-4)


def test_a_shorter_vocal_tract_moves_a_formant_up():
    definition = MEL_DEFINITIONS["hifigan"]
    centres = find_band_centres_hz(definition)
    power = torch.zeros(3, 2, 80)
    power[..., 30] = 1.0
    moved = RecordingConditions(definition)._stretch_bands(power, torch.tensor([1.0, 1.2, 1 / 1.2]))
    assert torch.equal(moved[0], power[0])
    for row, factor in ((1, 1.2), (2, 1 / 1.2)):
        assert centres[int(moved[row, 0].argmax())] == pytest.approx(factor * centres[30], rel=0.03)


def test_noise_has_the_asked_level():
    power, noise = torch.rand(2, 9, 4, generator=draw(0)), torch.rand(2, 9, 4, generator=draw(1))
    scaled = scale_to_snr(noise, power, torch.tensor([0.0, 20.0]))
    ratio = power.mean((1, 2)) / scaled.mean((1, 2))
    assert ratio.tolist() == pytest.approx([1.0, 100.0], rel=1e-5)


def test_without_conditions_the_log_mel_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording_conditions, "SHARES", dict.fromkeys(recording_conditions.SHARES, 0.0))
    for name in ("hifigan", "fvmvc"):
        mel = torch.randn(2, 12, 80, generator=draw()).clamp(min=-3)
        torch.testing.assert_close(RecordingConditions(MEL_DEFINITIONS[name])(mel, draw()), mel)


def test_silence_stays_finite():
    mel = torch.full((2, 12, 80), math.log(1e-5))
    assert torch.isfinite(RecordingConditions(MEL_DEFINITIONS["hifigan"])(mel, draw())).all()


def test_a_kept_voice_keeps_its_vocal_tract(monkeypatch: pytest.MonkeyPatch):
    only = dict.fromkeys(recording_conditions.SHARES, 0.0) | {"tract": 1.0}
    monkeypatch.setattr(recording_conditions, "SHARES", only)
    mel, conditions = torch.randn(2, 12, 80, generator=draw()), RecordingConditions(MEL_DEFINITIONS["hifigan"])
    torch.testing.assert_close(conditions(mel, draw(), keeps_voice=True), mel)
    assert not torch.allclose(conditions(mel, draw()), mel, atol=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_recordings_of_voices_are_degraded_as_sources_are(starter_stores: Stores, share: float):
    given = (f"pretrain.degrade_recordings={share}", "model.decoder.recording_tokens=3")
    task, batch = make_task(starter_stores, "starter", *given)
    heard = task._degrade_recordings(batch, 3)
    assert torch.equal(heard["reference_mel"], batch["reference_mel"]) == (share == 0)
    assert heard["reference_mel"].shape == batch["reference_mel"].shape


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_only_the_content_encoder_hears_degraded_recordings(starter_stores: Stores, share: float):
    task, batch = make_task(starter_stores, "starter", f"pretrain.degrade_recordings={share}")
    heard = task._degrade_recordings(batch, 3)
    assert torch.equal(heard["mel"], batch["mel"]) and ("degraded" in heard) == (share > 0)
    reconstruction = task.auxiliary["reconstruction"]
    plain, out = reconstruction(batch, True), reconstruction(heard, True)
    assert torch.equal(plain["taught"], out["taught"]) and torch.equal(plain["z"], out["z"]) == (share == 0)
    assert all(math.isfinite(value) for value in task.step(batch, 3).values())
