"""What graphs measure in sound: the same as facevc, except for F0, which is near WORLD's."""

import numpy as np
import pytest
import torch
from helpers.repository import ROOT

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel
from facevc_cli.export.mark_graph import MarkGraph
from facevc_cli.export.sound_graphs import LogMelGraph, PitchGraph, VoiceGraph
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.provenance.watermark import add_watermark, detect
from facevc_cli.voices.dvector import VoiceEmbedder
from facevc_cli.voices.dvector_network import load_voice_encoder


def speak(rate: int, name: str = "speech_woman.flac") -> np.ndarray:
    return Frontend.standard("hifigan").prepare(load_audio(ROOT / "examples" / name, rate)[0])


@pytest.mark.parametrize("mel", MEL_DEFINITIONS)
def test_the_log_mel(mel):
    definition = MEL_DEFINITIONS[mel]
    wav = speak(definition.rate)[:23_457]
    found = LogMelGraph(definition)(torch.from_numpy(wav))[0].numpy()
    expected = compute_log_mel(wav, definition)
    assert found.shape == expected.shape and np.abs(found - expected).max() < 2e-3


@pytest.mark.parametrize("mel", MEL_DEFINITIONS)
@pytest.mark.parametrize("f0_hz", (80.0, 131.0, 247.3, 500.0))
def test_the_pitch_of_a_tone(mel, f0_hz):
    """A tone with harmonics is found to a third of a percent; silence is unvoiced."""
    d = MEL_DEFINITIONS[mel]
    time_s = np.arange(d.rate) / d.rate
    tone = sum(np.cos(2 * np.pi * k * f0_hz * time_s + k * k) / k for k in range(1, 7)) / 8
    found = PitchGraph(d)(torch.from_numpy(np.concatenate([tone, np.zeros(d.rate // 2)])).float()).numpy()
    assert len(found) == len(compute_log_mel(np.zeros(d.rate * 3 // 2), d))
    per_second = d.rate / d.hop_samples
    heard, silent = found[5 : int(per_second) - 5], found[int(per_second) + 5 :]
    assert np.abs(heard / f0_hz - 1).max() < 1 / 300 and not silent.any()


@pytest.mark.parametrize("name", ("speech_man.flac", "speech_woman.flac"))
def test_the_pitch_of_speech_is_near_worlds(name):
    frontend = Frontend.standard("hifigan")
    wav = speak(frontend.definition.rate, name)
    expected = frontend.extract_features(wav)[1]
    found = PitchGraph(frontend.definition)(torch.from_numpy(wav)).numpy()
    both = (found > 0) & (expected > 0)
    cents = np.abs(1200 * np.log2(found[both] / expected[both]))
    assert both.sum() > 0.75 * (expected > 0).sum() and ((found > 0) & (expected == 0)).mean() < 0.15
    assert np.median(cents) < 12 and (cents > 200).mean() < 0.05


class Unchanged(torch.nn.Module):
    def embed_voice(self, voice: torch.Tensor) -> torch.Tensor:
        return voice


@pytest.mark.parametrize("seconds", (0.7, 1.6, 2.4, 5.0))
@pytest.mark.parametrize("rate", (16000, 22050))
def test_the_voice_of_a_recording(rate, seconds):
    """Also of one that is repeated because it is short."""
    wav = speak(rate)[: int(seconds * rate)]
    expected = VoiceEmbedder().embed(resample(wav, rate, 16000))
    with torch.no_grad():
        found = VoiceGraph(Unchanged(), load_voice_encoder(), rate)(torch.from_numpy(wav))
    assert found.shape == (1, 256) and np.abs(found[0].numpy() - expected).max() < 2e-3


@pytest.mark.parametrize("rate", (16000, 22050))
def test_the_mark(rate):
    wav = speak(rate)
    graph = MarkGraph(rate)
    found = graph(torch.from_numpy(wav), torch.zeros(1, dtype=torch.long)).numpy()
    assert np.abs(found - add_watermark(wav, rate)).max() < 1e-5
    assert detect(found, rate).marked and not detect(wav, rate).marked


def test_a_stream_is_marked_in_pieces():
    """A piece with the context that model.json names equals the same part of the whole."""
    wav, graph = torch.from_numpy(speak(22050)), MarkGraph(22050)
    whole = graph(wav, torch.zeros(1, dtype=torch.long))
    start = 200 * graph.hop_samples
    piece = graph(wav[start : start + 20_000], torch.tensor([start]))
    inner = slice(graph.size, 20_000 - graph.size)
    assert (piece[inner] - whole[start:][inner]).abs().max() < 1e-5
    wrong = graph(wav[start : start + 20_000], torch.zeros(1, dtype=torch.long))
    assert (wrong[inner] - whole[start:][inner]).abs().max() > 1e-3
