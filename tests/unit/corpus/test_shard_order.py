"""corpus/shard_order.py: each item once an epoch, few shards at a time, the same items whatever the processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.stores import have_same_weights, make_stores, pretrain

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import CropBatches, CropReader, join_voices
from facevc_cli.corpus.shard_order import RankOrder, ShardOrder
from facevc_cli.corpus.store import Store

SHARDS = np.repeat(np.arange(10), [7, 3, 9, 1, 5, 8, 2, 6, 4, 5])  # 50 items
MIXED = np.random.default_rng(0).permutation(SHARDS)


def test_more_processes_than_items_in_a_batch_are_refused():
    with pytest.raises(FaceVCError, match="batch_size 3: 4 processes"):
        RankOrder(ShardOrder(MIXED, 1), 3, 0, 4)


@pytest.mark.parametrize("window", [1, 3, 10, 16])
def test_an_epoch_is_a_permutation_that_reads_few_shards_at_a_time(window):
    order = ShardOrder(MIXED, seed=4, window=window)
    first, second = order.find_items(0, 50), order.find_items(50, 100)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    assert first.tolist() != ShardOrder(MIXED, seed=5, window=window).find_items(0, 50).tolist()
    changes = np.flatnonzero(np.diff([set(MIXED[first[:n]].tolist()).__len__() for n in range(51)]))
    assert len(changes) == 10  # every shard begins once
    seen: list[int] = []
    for item in first:  # a shard that a later window needs is not read before its window
        if MIXED[item] not in seen:
            seen.append(int(MIXED[item]))
    for start in range(0, 10, window):
        part = seen[start : start + window]
        assert sum(np.isin(MIXED, part)) == sum(np.isin(MIXED[first], part))
        places = np.flatnonzero(np.isin(MIXED[first], part))
        assert places.max() - places.min() + 1 == len(places)  # one window after another


def test_any_part_of_the_order_is_the_same_whatever_was_read_before():
    whole = ShardOrder(MIXED, seed=4, window=3).find_items(0, 200)
    for first, stop in ((0, 1), (49, 51), (7, 133), (199, 200), (60, 60)):
        assert ShardOrder(MIXED, seed=4, window=3).find_items(first, stop).tolist() == whole[first:stop].tolist()


def test_weights_are_how_often_an_item_comes():
    weights = np.ones(50)
    weights[3], weights[7] = 0, 11  # 59 in all, and 50 draws an epoch: 11 * 50 / 59 = 9.32 for the heavy one
    order = ShardOrder(MIXED, seed=2, weights=weights, window=4)
    counts = np.array([np.bincount(order.find_items(50 * n, 50 * n + 50), minlength=50) for n in range(300)])
    assert (counts.sum(1) == 50).all()
    assert counts[:, 3].max() == 0
    assert set(counts[:, 7]) == {9, 10}
    assert counts[:, 7].mean() == pytest.approx(11 * 50 / 59, abs=0.1)
    assert set(counts[:, 20]) == {0, 1}
    assert counts[:, 20].mean() == pytest.approx(50 / 59, abs=0.1)


@pytest.fixture
def stores(tmp_path: Path):
    utterances = {f"p{n % 4}/{n}": (f"p{n % 4}", "train" if n % 4 else "valid", 9 + n) for n in range(24)}
    return make_stores(tmp_path, utterances=utterances, keep_shards=3)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_any_number_of_processes_reads_the_same_items_with_the_same_crops(stores, processes):
    with Store(stores.features) as features, Store(stores.voices) as voices:
        chosen = join_voices(features, voices, "train")

        def read(step, processes):
            parts = []
            for rank in range(processes):
                order = RankOrder(ShardOrder(features.shard_numbers[chosen.rows], 7, window=2), 8, rank, processes)
                parts.append(CropBatches(CropReader(features, 16, False), chosen, 0, 7, order=order)[step])
            assert sum(len(part["mel"]) for part in parts) == 8
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

        for step in (0, 1, 5):
            alone, together = read(step, 1), read(step, processes)
            assert all(torch.equal(alone[name], together[name]) for name in alone)
        assert not torch.equal(read(0, 1)["mel"], read(1, 1)["mel"])


def test_more_crops_come_from_the_shards_that_are_read(stores):
    with Store(stores.features) as features, Store(stores.voices) as voices:
        chosen = join_voices(features, voices, "train")
        shards = features.shard_numbers[chosen.rows]
        order = RankOrder(ShardOrder(shards, 7, window=2), 3)
        items, _ = order.draw_beside(0, 50)
        assert set(shards[items]) == set(shards[order.order.find_neighbours(0)])
        assert len(set(shards[items])) == 2
        batch = CropBatches(CropReader(features, 16, False), chosen, 0, 7, order=order, more=5)[0]
        assert batch["more_mel"].shape == (5, 16, 80)


@pytest.mark.slow
def test_a_training_on_shards_resumes_exactly(stores, tmp_path):
    pretrain(stores, tmp_path / "whole")
    pretrain(stores, tmp_path / "parts", stop_at=4)
    assert "resumed at step 4" in str(pretrain(stores, tmp_path / "parts").notes)
    assert have_same_weights(tmp_path / "whole/checkpoints/last", tmp_path / "parts/checkpoints/last")
