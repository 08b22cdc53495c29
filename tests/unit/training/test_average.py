"""training/average.py: the average's value, and a run whose result it is, also when the run was stopped."""

from pathlib import Path

import pytest
import torch
from helpers.stores import Stores, have_same_weights, pretrain, weights
from safetensors.torch import load_file

from facevc_cli.core.errors import FaceVCError
from facevc_cli.training.average import WeightAverage

AVERAGED = "pretrain.average_decay=0.9"
pytestmark = pytest.mark.usefixtures("no_plots")


def test_the_average_of_known_weights():
    module = torch.nn.Linear(1, 1, bias=False)
    values = [1.0, 3.0, 5.0]
    module.weight.data.fill_(0.0)
    average = WeightAverage(module, 0.15)
    expected = 0.0
    for step, value in enumerate(values):
        module.weight.data.fill_(value)
        average.update(step)
        kept = min(0.15, (1 + step) / (11 + step))
        expected = kept * expected + (1 - kept) * value
    assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-6)
    with average.apply():
        assert module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert module.weight.item() == 5.0


def test_the_module_gets_its_own_weights_back_after_an_error():
    module = torch.nn.Linear(2, 2)
    average, before = WeightAverage(module, 0.5), module.weight.detach().clone()
    average.tensors["weight"].zero_()
    with pytest.raises(ValueError), average.apply():
        assert not module.weight.any()
        raise ValueError
    assert torch.equal(module.weight, before)


def test_a_runs_result_is_the_average_of_what_it_would_have_been(starter_stores: Stores, tmp_path: Path):
    """Averaging changes no step: a run without it ends with the weights that the average was made from."""
    plain = pretrain(starter_stores, tmp_path / "plain", "starter")
    averaged = pretrain(starter_stores, tmp_path / "averaged", "starter", AVERAGED)
    assert plain.losses == averaged.losses
    last = tmp_path / "averaged" / "checkpoints" / "last"
    own, final = load_file(last / "training" / "own_weights.safetensors"), weights(tmp_path / "plain/checkpoints/last")
    assert all(torch.equal(own[name], final[name]) for name in own)
    assert any(not torch.equal(weights(last)[name], final[name]) for name in own)


def test_resumed_equals_uninterrupted(starter_stores: Stores, tmp_path: Path):
    whole = pretrain(starter_stores, tmp_path / "whole", "starter", AVERAGED)
    first = pretrain(starter_stores, tmp_path / "parts", "starter", AVERAGED, stop_at=3)
    second = pretrain(starter_stores, tmp_path / "parts", "starter", AVERAGED)
    assert {**first.losses, **second.losses} == whole.losses
    for name in ("last", "best"):
        assert have_same_weights(tmp_path / "whole" / "checkpoints" / name, tmp_path / "parts" / "checkpoints" / name)


def test_a_checkpoint_without_own_weights(starter_stores: Stores, tmp_path: Path):
    pretrain(starter_stores, tmp_path, "starter", AVERAGED, stop_at=3)
    (tmp_path / "checkpoints" / "last" / "training" / "own_weights.safetensors").unlink()
    with pytest.raises(FaceVCError, match="own_weights.safetensors"):
        pretrain(starter_stores, tmp_path, "starter", AVERAGED)
