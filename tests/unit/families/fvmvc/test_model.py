"""The assembled model's public surface: shapes for every length and batch, faces, voices, mixes and temperatures."""

import math

import pytest
import torch
from helpers.stores import FACE_DIM, STARTER, TOY, VOICE_DIM

from facevc_cli.conversion.transfer.variance import scale_variance
from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.presets import list_presets, load_config

# those two: test_cross_voice.py
SMALL = {"toy": TOY, "starter": (*STARTER, "model.unit_recall=false", "model.face_contrast=1")}


def _model(preset: str = "toy", *overrides: str) -> FaceVC:
    torch.manual_seed(0)
    return FaceVC(load_config(preset, overrides=(*SMALL[preset], *overrides)).model).eval()


@pytest.fixture(scope="module", params=SMALL)
def model(request: pytest.FixtureRequest) -> FaceVC:
    return _model(request.param)


@pytest.mark.parametrize("dim", [(FACE_DIM + 1,), (2, FACE_DIM + 1), (1, 2, FACE_DIM)])
def test_faces_of_another_embedder_are_refused(model: FaceVC, dim: tuple[int, ...]):
    with pytest.raises(FaceVCError, match=rf"face embeddings of {FACE_DIM} numbers.*Extract the faces"):
        model.recall_face(torch.zeros(dim))


@pytest.mark.parametrize(
    "override",
    [
        "model.mel=cepstrum",
        "model.decoder.kind=transformer",
        "model.pitch=hum",
        "model.speaker_encoder=ear",
        "model.content_encoder.kind=hubert",
    ],
)
def test_unknown_parts_are_named(override: str):
    with pytest.raises(FaceVCError, match=rf"{override.split('=')[1]}'?.*expected one of"):
        _model("toy", override)


@pytest.mark.parametrize("override", ["model.n_mels=40", "model.temperature=0", "model.voice_dim=20"])
def test_settings_that_do_not_fit(override: str):
    with pytest.raises(FaceVCError):
        _model("starter", override)


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [1.0], [float("nan"), 1.0]])
def test_weights_that_do_not_mix(model: FaceVC, weights: list[float]):
    with pytest.raises(FaceVCError, match=r"cannot mix 2 faces"):
        model.mix_faces(torch.randn(2, FACE_DIM), torch.tensor(weights))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 17, 64])
@torch.no_grad()
def test_shapes(model: FaceVC, batch: int, frames: int):
    half = (frames + 1) // 2
    z, context, indices = model.encode_content(torch.randn(batch, 80, frames))
    assert z.shape == (batch, half, 8) and context.shape[:2] == (batch, half) and indices.shape == (batch, half)
    voice = model.embed_voice(torch.randn(batch, VOICE_DIM))
    level = model.predict_pitch(voice)
    assert voice.shape == (batch, VOICE_DIM) and level[0].shape == level[1].shape == (batch,)
    for given in (None, level):
        mel = model.decode(z, torch.randn(batch, frames), voice, given)
        assert mel.shape == (batch, frames, 80) and torch.isfinite(mel).all()
    before, after = model.decode_both(z, torch.zeros(batch, frames), voice)
    assert before.shape == after.shape == (batch, frames, 80) and torch.isfinite(after).all()


@torch.no_grad()
def test_half_a_minute_goes_through_in_windows(model: FaceVC):
    z, _, _ = model.encode_content(torch.randn(1, 80, 3000))
    assert z.shape == (1, 1500, 8) and torch.isfinite(z).all()


class _EveryOtherFrame(torch.nn.Module):
    """Stands in for the encoder: (B, 80, T) -> (B, ceil(T / 2), 80), and nothing but its own frame."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return mel[..., ::2].transpose(1, 2)


@pytest.mark.parametrize("frames", [2, 2199, 2200, 2201, 2202, 4000, 4001, 4402, 6600])
def test_windows_lose_and_repeat_no_frame(frames: int):
    encoder = DistilledContentEncoder(86.0, "ln", dim=4, layers=0, heads=1)
    encoder.encoder = _EveryOtherFrame()  # type: ignore[assignment]
    mel = torch.randn(1, 80, frames)
    assert torch.equal(torch.cat(list(encoder._encode_windows(mel)), 1), encoder.encoder(mel))


@torch.no_grad()
def test_faces_and_voices_are_recalled(model: FaceVC):
    faces = torch.randn(3, FACE_DIM)
    recalled, address = model.recall_face(faces)
    assert recalled.shape == (3, VOICE_DIM) and address.shape == (3, 6)
    assert torch.allclose(address.sum(1), torch.ones(3), atol=1e-6)
    assert torch.allclose(recalled, address @ model.memory.values, atol=1e-6)
    recalled, address = model.recall_voice(torch.randn(2, VOICE_DIM))
    assert recalled.shape == (2, VOICE_DIM) and torch.allclose(address.sum(1), torch.ones(2), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_mix_is_over_addresses(model: FaceVC, count: int):
    faces, weights = torch.randn(count, FACE_DIM), torch.arange(1.0, count + 1)
    recalled, address = model.mix_faces(faces, weights)
    singly = model.recall_face(faces)[1]
    expected = (weights / weights.sum()) @ singly
    assert recalled.shape == (1, VOICE_DIM) and address.shape == (1, 6)
    assert torch.allclose(address[0], expected, atol=1e-6)
    assert torch.allclose(recalled[0], expected @ model.memory.values, atol=1e-6)
    only_last = model.mix_faces(faces, torch.eye(count)[-1])[1]  # a weight of zero takes no part
    assert torch.allclose(only_last[0], singly[-1], atol=1e-6) and torch.isfinite(only_last).all()


@torch.no_grad()
def test_temperature_sharpens(model: FaceVC):
    face = torch.randn(1, FACE_DIM)
    entropy = [-(a * a.log()).sum().item() for a in (model.recall_face(face, t)[1] for t in (10.0, 1.0, 0.1))]
    assert entropy[0] > entropy[1] > entropy[2]
    assert torch.equal(model.recall_face(face, model.config.temperature)[1], model.recall_face(face)[1])
    for wrong in (0.0, -1.0):
        with pytest.raises(FaceVCError, match=r"temperature must be above zero"):
            model.recall_face(face, wrong)


@torch.no_grad()
def test_the_address_at_the_start_is_almost_uniform_without_a_temperature():
    """The paper's temperature of 1 lets cosines near 0 give a uniform address: what the starter's .1 is for."""
    entropies = {}
    for temperature in (1.0, 0.1):
        torch.manual_seed(0)
        config = load_config(
            "fvmvc", overrides=("model.decoder={channels: 8, recurrent_dim: 8, postnet_channels: 8}",)
        ).model
        model = FaceVC(config).eval()
        address = model.recall_face(torch.nn.functional.normalize(torch.randn(8, 512), dim=1), temperature)[1]
        entropies[temperature] = -(address * address.log()).sum(1).mean().item() / math.log(config.slots)
    assert entropies[1.0] > 0.999
    assert entropies[0.1] < entropies[1.0] - 0.01


def test_variance_is_scaled_about_each_bands_mean():
    mel = torch.randn(2, 40, 80) + torch.arange(80.0)
    scaled = scale_variance(mel, 1.5)
    torch.testing.assert_close(scaled.mean(1), mel.mean(1), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(scaled.std(1), 1.5 * mel.std(1), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(scale_variance(mel[:, :1], 1.5), mel[:, :1])
    assert scale_variance(mel, 1.0) is mel  # 1: left as it is


def test_statistics_travel_with_the_weights():
    model = _model("starter")
    mean, std = torch.randn(80), torch.rand(80) + 0.5
    model.set_statistics(mean, std)
    mel = torch.randn(2, 5, 80)
    assert torch.allclose(model.normalise(mel), (mel - mean) / std, atol=1e-5)
    assert torch.allclose(model.denormalise(model.normalise(mel)), mel, atol=1e-5)
    state = model.state_dict()
    assert torch.equal(state["mel_mean"], mean) and torch.equal(state["content_encoder.mel_std"], std)


@torch.no_grad()
def test_distilled_content_does_not_depend_on_the_batch():
    model, mel = _model("starter"), torch.randn(2, 80, 33)
    assert torch.allclose(model.encode_content(mel)[0][1:], model.encode_content(mel[1:])[0], atol=1e-5)


def test_the_papers_size():
    sizes = {
        n: sum(p.numel() for p in m.parameters()) / 1e6 for n, m in FaceVC(load_config("fvmvc").model).named_children()
    }
    assert round(sizes["content_encoder"], 2) == 1.58
    assert round(sizes["decoder"], 1) == 24.8
    assert sizes["memory"] * 1e6 == 2 * 96 * 256


def test_every_preset_loads():
    assert {"fvmvc", "starter", "toy"} <= set(list_presets())
    for name in list_presets():
        assert load_config(name).name == name
