import pytest
import torch

from facevc_cli.families.fvmvc.content_encoder import VQContentEncoder
from facevc_cli.families.fvmvc.cpc import CPCPredictor
from facevc_cli.families.fvmvc.vq import VectorQuantizer

SIZES = {"n_mels": 8, "channels": 16, "z_dim": 4, "codes": 6, "context_dim": 5, "layers": 2}


@pytest.fixture
def encoder() -> VQContentEncoder:
    torch.manual_seed(0)
    return VQContentEncoder(**SIZES)


def _code_book(module) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in module.buffers()]


def _moved(module, before) -> bool:
    return any(not torch.equal(old, new) for old, new in zip(before, module.buffers(), strict=True))


@pytest.mark.parametrize(("frames", "half"), [(1, 1), (9, 5), (10, 5)])
def test_shapes_lose_no_frame(encoder, frames, half):
    out = encoder(torch.randn(2, 8, frames))
    assert out.z.shape == out.z_before.shape == (2, half, 4)
    assert out.context.shape == (2, half, 5)
    assert out.indices.shape == (2, half)


def test_odd_length_repeats_the_last_frame(encoder):
    encoder.eval()
    mel = torch.randn(1, 8, 7)
    completed = torch.cat([mel, mel[..., -1:]], dim=-1)
    assert torch.equal(encoder(mel).z_before, encoder(completed).z_before)


def test_code_book_moves_only_in_training_with_gradients(encoder):
    mel = torch.randn(2, 8, 12)
    before = _code_book(encoder)
    encoder.train().encode(mel)
    encoder.eval()(mel)
    assert not _moved(encoder, before)
    encoder.train().requires_grad_(False)(mel)
    assert not _moved(encoder, before), "a frozen encoder left in training mode must not drift"
    encoder.requires_grad_(True)(mel)
    assert _moved(encoder, before)


def test_gradient_passes_straight_through(encoder):
    quantizer = encoder.quantizer
    z_before = torch.randn(1, 3, 4, requires_grad=True)
    out = quantizer.eval()(z_before)
    out.z.sum().backward()
    assert z_before.grad is not None
    assert torch.allclose(z_before.grad, torch.ones(1, 3, 4))
    assert torch.allclose(out.z, quantizer.embedding[out.indices], atol=1e-6)


def test_nearest_code_commitment_and_perplexity():
    quantizer = VectorQuantizer(codes=2, dim=1, commitment=0.5).eval()
    quantizer.embedding.copy_(torch.tensor([[0.0], [1.0]]))
    out = quantizer(torch.tensor([[[0.2], [0.9]]]))
    assert out.indices.tolist() == [[0, 1]]
    assert out.loss.item() == pytest.approx(0.5 * (0.04 + 0.01) / 2)
    assert out.perplexity.item() == pytest.approx(2.0)


def test_code_book_follows_its_vectors_and_unused_codes_stay_finite():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(codes=8, dim=2, decay=0.9)
    target = torch.tensor([3.0, -2.0])
    for _ in range(200):
        out = quantizer((target + 0.01 * torch.randn(1, 32, 2)).requires_grad_())
    assert torch.allclose(quantizer.embedding[out.indices].mean(dim=(0, 1)), target, atol=0.05)
    assert quantizer.embedding.abs().max() < 10


def test_default_size_is_the_papers():
    assert sum(p.numel() for p in VQContentEncoder().parameters()) == pytest.approx(1.58e6, rel=0.01)


def test_cpc_predicts_each_step():
    assert [p.shape for p in CPCPredictor(context_dim=5, z_dim=4, steps=3)(torch.randn(2, 7, 5))] == [(2, 7, 4)] * 3
