"""conversion/decoding.py: what a recording of the voice adds for a model that takes more from it than its embedding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter
from helpers.sounds import buzz

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.decoding import decode_voices, describe_recording
from facevc_cli.families.base import Capability
from facevc_cli.vocoders.griffin_lim import GriffinLim

FACE = np.full((40, 40, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Converter:
    folder: Path = tmp_path_factory.mktemp("recorded") / "run"
    made = make_converter(checkpoint(folder, "starter", overrides=("model.decoder.recording_tokens=3",)))
    made.vocoder = GriffinLim(made.frontend.mel, iterations=2)
    return made


def decode(converter: Converter, source, targets) -> list[torch.Tensor]:
    pitches = [converter.choose_pitch(source, target) for target in targets]
    with torch.inference_mode():
        return decode_voices(converter.model, converter.style, converter.guidance, source, targets, pitches)


def test_a_recording_is_described_and_a_face_is_not(converter: Converter):
    assert Capability.RECORDING in converter.model.capabilities
    recorded, shown = converter.target_from_voice((buzz(1.5), 16000)), converter.target_from_face(FACE)
    assert recorded.recording.shape == (1, 3, 128) and shown.recording is None
    assert converter.target_from_mix([recorded, shown], [1, 1]).recording is None


def test_the_description_changes_the_voice(converter: Converter):
    source = converter.analyse((buzz(1.0, f0_hz=180), 16000))
    target = converter.target_from_voice((buzz(1.5), 16000))
    with_it, without = (decode(converter, source, [t])[0] for t in (target, replace(target, recording=None)))
    assert with_it.shape == without.shape and not torch.allclose(with_it, without, atol=1e-3)


def test_a_batch_of_both_kinds_is_each_alone(converter: Converter):
    source = converter.analyse((buzz(1.0, f0_hz=180), 16000))
    targets = [converter.target_from_voice((buzz(1.5), 16000)), converter.target_from_face(FACE)]
    for together, target in zip(decode(converter, source, targets), targets, strict=True):
        torch.testing.assert_close(together, decode(converter, source, [target])[0], atol=1e-4, rtol=1e-4)


def test_guidance_leads_away_from_the_sources_own_recording(converter: Converter):
    """With guidance, another description of the source changes the result; towards a face it does not."""
    source = converter.analyse((buzz(1.0, f0_hz=180), 16000))
    assert converter.guidance > 0 and source.recording is not None
    other = replace(source, recording=source.recording + 1)
    voice, face = converter.target_from_voice((buzz(1.5), 16000)), converter.target_from_face(FACE)
    assert not torch.allclose(decode(converter, source, [voice])[0], decode(converter, other, [voice])[0], atol=1e-4)
    assert torch.equal(decode(converter, source, [face])[0], decode(converter, other, [face])[0])


def test_a_model_that_takes_nothing_from_a_recording(tmp_path: Path):
    plain = make_converter(checkpoint(tmp_path / "run", "starter"))
    assert Capability.RECORDING not in plain.model.capabilities
    assert describe_recording(plain.model, torch.zeros(9, 80)) is None
    assert plain.target_from_voice((buzz(0.5), 16000)).recording is None
