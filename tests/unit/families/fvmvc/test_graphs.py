"""The content encoder and the decoder as graphs: the same as the model, at lengths that take one window or several."""

import pytest
import torch
from helpers.checkpoints import checkpoint

from facevc_cli.core.graphs import resample_frames_at
from facevc_cli.dsp.frames import resample_frames
from facevc_cli.families.base import Capability
from facevc_cli.families.checkpoint import load_model
from facevc_cli.families.fvmvc import model as models

TOKENS = ("model.decoder.recording_tokens=4",)
MODELS = {"toy": ("toy", ()), "starter": ("starter", ()), "tokens": ("starter", TOKENS)}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    preset, overrides = MODELS[request.param]
    return load_model(checkpoint(tmp_path_factory.mktemp("model") / "m", preset, overrides=overrides))


def test_a_model_with_a_part_that_has_no_graph_cannot_be_exported(model, monkeypatch):
    assert Capability.EXPORT in model.capabilities
    monkeypatch.setattr(models, "can_be_exported", lambda content, decoder: False)
    assert Capability.EXPORT not in model.capabilities


@pytest.mark.parametrize("frames", (3, 90, 259, 301, 902))
def test_the_graphs_compute_what_the_model_computes(model, frames):
    """At 100 Hz these are 4, 104, 300, 350 and 1048 frames: one window takes 300."""
    for graph in model.make_graphs():
        inputs = graph.make_inputs(frames)
        with torch.no_grad():
            made, expected = graph.module(*inputs), graph.reference(*inputs)
        for ours, theirs in zip(
            *(found if isinstance(found, tuple) else (found,) for found in (made, expected)), strict=True
        ):
            assert ours.shape == theirs.shape and torch.isfinite(theirs).all()
            assert (ours - theirs).abs().max() < graph.tolerance, graph.name


def test_the_shapes_are_as_described(model):
    content, decoder = model.make_graphs()
    (log_mel,) = content.make_inputs(41)
    with torch.no_grad():
        heard = content.module(log_mel)
        heard = heard[0] if isinstance(heard, tuple) else heard
        spoken = decoder.module(*decoder.make_inputs(41))
    assert heard.shape == (1, 21, 64) and spoken.shape == (2, 41, 80)
    assert list(decoder.inputs)[:5] == ["content", "log_f0", "voice", "pitch_mean", "pitch_std"]


def test_frames_are_resampled_as_in_the_model():
    x = torch.arange(14.0).reshape(1, 7, 2)
    for count in (3, 7, 20):
        found = resample_frames_at(x, torch.tensor(7), torch.tensor(count))
        assert torch.allclose(found, resample_frames(x, count), atol=1e-5)
