"""families/cmpc/prototypes.py: k-means, temperatures of clusters, and prototypes that persist."""

import math

import pytest
import torch
from torch.nn import functional as F

from facevc_cli.families.cmpc.prototypes import PrototypeBank, compute_temperatures, find_clusters


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(seed=0):
    """Three tight groups of eight in four dimensions."""
    drawn = generator(seed)
    centres = torch.eye(4)[:3].repeat_interleave(8, 0)
    return F.normalize(centres + 0.05 * torch.randn(24, 4, generator=drawn), dim=-1)


def test_k_means_finds_the_groups():
    started = torch.stack([blobs()[0], blobs()[8], blobs()[16]])
    labels, centres = find_clusters(blobs(), 3, generator(), started)
    assert [set(labels[i : i + 8].tolist()) for i in (0, 8, 16)] == [{0}, {1}, {2}]
    torch.testing.assert_close(centres[1], F.normalize(blobs()[8:16].sum(0), dim=-1))


def test_an_empty_cluster_keeps_its_centre():
    far = F.normalize(torch.tensor([[-1.0, -1.0, -1.0, 0.0]]), dim=-1)
    labels, centres = find_clusters(blobs(), 2, generator(), torch.cat([blobs()[:1], far]))
    assert set(labels.tolist()) == {0} and torch.equal(centres[1], far[0])


def test_temperatures_by_hand():
    """Two clusters of two: mean distances 1 and .5, divided by ln 12, scaled to the mean."""
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.5, 5.0], [-0.5, 5.0]])
    found = compute_temperatures(points, torch.tensor([0, 0, 1, 1]), torch.tensor([[0.0, 0.0], [0.0, 5.0]]), 0.03)
    # the quantiles .1 and .9 of (1, .5) are .55 and .95
    assert found.tolist() == pytest.approx([0.03 * 0.95 / 0.75, 0.03 * 0.55 / 0.75], rel=1e-5)


def test_a_cluster_of_one_gets_the_widest_temperature_and_none_at_all_the_mean():
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 9.0]])
    wide, single = compute_temperatures(points, torch.tensor([0, 0, 1]), torch.tensor([[0.0, 0.0], [0.0, 9.0]]), 0.03)
    assert wide == single == pytest.approx(0.03)
    assert compute_temperatures(points, torch.tensor([0, 1, 2]), points, 0.03).tolist() == pytest.approx([0.03] * 3)


def test_the_bank_moves_by_its_momentum_and_twice_drawn_items_by_their_mean():
    bank = PrototypeBank(torch.eye(2), [2], 0.03)
    half = math.sqrt(0.5)
    bank.update(torch.tensor([0]), torch.tensor([[0.0, 1.0]]), 0.5)
    assert bank.places[0].tolist() == pytest.approx([half, half]) and bank.places[1].tolist() == [0, 1]
    bank.update(torch.tensor([1, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 0.0)
    assert bank.places[1].tolist() == pytest.approx([half, half])


def test_prototypes_persist_between_batches_and_in_a_saved_state():
    bank = PrototypeBank(blobs(), [2, 3], 0.03)
    assert not bank.is_clustered
    bank.cluster(generator())
    before = [[tensor.clone() for tensor in bank.read(i)] for i in range(2)]
    for step in range(20):
        bank.update(torch.arange(24), blobs(step + 1), 0.5)
    assert bank.is_clustered
    assert all(torch.equal(a, b) for i in range(2) for a, b in zip(before[i], bank.read(i), strict=True))
    other = PrototypeBank(blobs(9), [2, 3], 0.03)
    other.load_state_dict(bank.state_dict())
    assert other.is_clustered and all(torch.equal(a, b) for a, b in zip(bank.read(1), other.read(1), strict=True))


def test_a_later_clustering_starts_from_the_prototypes_before():
    """With all points in place, the numbers of the clusters stay, whatever the generator draws."""
    bank = PrototypeBank(blobs(), [3], 0.03)
    bank.cluster(generator(0))
    before = bank.read(0)[0].clone()
    bank.cluster(generator(5))
    assert torch.equal(bank.read(0)[0], before)


def test_there_are_never_more_clusters_than_items():
    assert PrototypeBank(blobs(), [3, 500], 0.03).counts == [3, 24]
