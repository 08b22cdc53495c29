import math

import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.losses import compute_address_entropy
from facevc_cli.families.fvmvc.memory import VoiceMemory


@pytest.fixture
def memory() -> VoiceMemory:
    torch.manual_seed(0)
    return VoiceMemory(voice_dim=8, slots=6)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_positive(memory, temperature):
    with pytest.raises(FaceVCError, match="temperature"):
        memory.address(torch.randn(1, 8), "face", temperature)
    with pytest.raises(FaceVCError, match="temperature"):
        VoiceMemory(temperature=temperature)


@pytest.mark.parametrize("weights", [[1.0], [0.5, -0.5], [0.0, 0.0], [math.nan, 1.0]])
def test_bad_weights_are_refused(memory, weights):
    addresses = memory.address(torch.randn(2, 8), "face")
    with pytest.raises(FaceVCError, match="weights"):
        memory.mix(addresses, torch.tensor(weights))


@pytest.mark.parametrize("shape", [(0, 8), (4, 7), (8,)])
def test_init_values_refuses_other_shapes(memory, shape):
    with pytest.raises(FaceVCError, match="embeddings of shape"):
        memory.initialise_values(torch.zeros(shape))


def test_voices_address_values_and_faces_keys(memory):
    for by, slots in (("voice", memory.values), ("face", memory.keys)):
        address = memory.address(3 * slots[2:3], by, temperature=0.01)
        assert address.exp().sum().item() == pytest.approx(1)
        assert address.argmax().item() == 2
    recalled = memory.recall(memory.address(memory.values[2:3], "voice", temperature=1e-3))
    assert torch.allclose(recalled, memory.values[2:3], atol=1e-4)


def test_temperature_sharpens(memory):
    embedding = torch.randn(4, 8)
    entropies = [compute_address_entropy(memory.address(embedding, "face", tau)).item() for tau in (1.0, 0.1, 0.02)]
    assert math.log(6) > entropies[0] > entropies[1] > entropies[2]
    assert torch.equal(memory.address(embedding, "face"), memory.address(embedding, "face", 1.0))


def test_mix_weights_addresses(memory):
    addresses = memory.address(torch.randn(2, 8), "face", 0.1)
    mixed = memory.mix(addresses, torch.tensor([3.0, 1.0]))
    assert torch.allclose(mixed.exp(), (0.75 * addresses[0].exp() + 0.25 * addresses[1].exp()).unsqueeze(0), atol=1e-6)
    assert torch.allclose(memory.mix(addresses, torch.tensor([0.0, 1.0])), addresses[1:], atol=1e-6)


def test_init_values_finds_the_clusters_and_repeats(memory):
    torch.manual_seed(1)
    centres = torch.nn.functional.normalize(torch.randn(6, 8), dim=-1)
    points = (centres.unsqueeze(1) + 0.01 * torch.randn(6, 30, 8)).reshape(-1, 8)
    memory.initialise_values(points, seed=3)
    first = memory.values.detach().clone()
    assert torch.cdist(first, centres).min(dim=1).values.max() < 0.7
    assert (torch.cdist(centres, first).min(dim=1).values < 0.2).sum() >= 4
    memory.initialise_values(points, seed=3)
    assert torch.equal(memory.values, first)
    assert memory.values.requires_grad


def test_init_values_from_fewer_vectors_than_slots_gives_distinct_slots(memory):
    memory.initialise_values(torch.randn(2, 8))
    distances = torch.cdist(memory.values, memory.values) + torch.eye(6)
    assert torch.isfinite(memory.values).all()
    assert distances.min() > 0
