"""Our modules against what the published ones compute, weights going through the import of published checkpoints.

`fvmvc_reference.npz` holds inputs, outputs and the weights' shapes; the weights themselves are drawn by `_weights`.
"""

import json

import numpy as np
import pytest
import torch
from helpers.reference import draw_tensor, load_reference
from torch import nn

from facevc_cli.families.fvmvc import losses
from facevc_cli.families.fvmvc.content_encoder import VQContentEncoder
from facevc_cli.families.fvmvc.decoder import RecurrentDecoder
from facevc_cli.families.fvmvc.face_encoder import FaceEncoder
from facevc_cli.families.fvmvc.memory import VoiceMemory
from facevc_cli.families.fvmvc.mutual_information import CLUBEstimator, halve_rate
from facevc_cli.families.fvmvc.published import convert_published, convert_scope, read_published
from facevc_cli.families.fvmvc.speaker_encoder import DVectorEncoder, MelSpeakerEncoder
from facevc_cli.families.fvmvc.vq import VectorQuantizer
from facevc_cli.training.schedule import WarmupMilestones
from facevc_cli.training.weights import load_weights

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def scopes(reference) -> dict[str, dict[str, torch.Tensor]]:
    shapes = json.loads(str(reference["shapes"]))
    seed = int(reference["base_seed"])
    return {s: {key: draw_tensor(s, key, shape, seed) for key, shape in keys.items()} for s, keys in shapes.items()}


def _module(module: nn.Module, tensors: dict[str, torch.Tensor], prefix: str = "") -> nn.Module:
    load_weights(
        module, {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}, "the reference"
    )
    return module.eval()


@pytest.fixture(scope="module")
def computed(reference, scopes, tmp_path_factory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("published")
    torch.save({s: scopes[s] for s in ("encoder", "encoder_spk", "decoder")}, folder / "fvmvc.pt")
    torch.save(
        {"encoder": scopes["encoder"], "encoder_spk": scopes["encoder_spk_mel"], "decoder": scopes["decoder"]},
        folder / "vqmivc.pt",
    )
    tensors, kind = convert_published(read_published(folder / "fvmvc.pt"))
    mel_tensors, mel_kind = convert_published(read_published(folder / "vqmivc.pt"))
    assert (kind, mel_kind) == ("fvmvc", "vqmivc")

    mel, lf0, face, speech = (torch.from_numpy(reference[f"in.{name}"]) for name in ("mel", "lf0", "face", "speech"))
    out: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        content = _module(VQContentEncoder(), tensors, "content_encoder.")(mel)
        out |= {
            "encoder.z": content.z,
            "encoder.c": content.context,
            "encoder.z_before_vq": content.z_before,
            "encoder.indices": content.indices,
        }
        out["encoder_spk_mel.normalized"] = _module(MelSpeakerEncoder(), mel_tensors, "speaker_encoder.")(mel)

        memory = _module(VoiceMemory(), tensors, "memory.")
        assert isinstance(memory, VoiceMemory)
        voice = _module(DVectorEncoder(), tensors, "speaker_encoder.")(speech)
        faces = _module(FaceEncoder(), tensors, "face_encoder.")(face)
        voice_address, face_address = memory.address(voice, "voice"), memory.address(faces, "face")
        mixed = memory.mix(face_address, torch.tensor([0.4, 0.6]))
        out |= {
            "memory.speech_emb": voice,
            "memory.face_emb": faces,
            "memory.speech_log_address": voice_address,
            "memory.face_log_address": face_address,
            "memory.speech_recall": memory.recall(voice_address),
            "memory.face_recall": memory.recall(face_address),
            "memory.interpolated_0.4": memory.recall(mixed),
            "memory.interpolated_address_0.4": mixed.exp(),
            "memory.kl_address": losses.compute_address_kl(voice_address, face_address),
        }

        decoder = _module(RecurrentDecoder(), tensors, "decoder.")
        before, after = decoder(content.z, lf0.unsqueeze(-1), memory.recall(face_address))
        out |= {
            "decoder.before_postnet": before,
            "decoder.mel": after,
            "decoder.reconstruction_loss": losses.compute_reconstruction(before, after, mel.transpose(1, 2)),
        }

        def estimator(scope: str, x_dim: int, y_dim: int) -> CLUBEstimator:
            module = _module(CLUBEstimator(x_dim, y_dim), convert_scope(scope, scopes[scope]))
            assert isinstance(module, CLUBEstimator)
            return module

        out["mi.cs_loglikelihood"] = estimator("cs_mi_net", 256, 64).compute_loglikelihood(voice, content.z)
        out["mi.cp_loglikelihood"] = estimator("cp_mi_net", 1, 64).compute_loglikelihood(halve_rate(lf0), content.z)
        out["mi.ps_loglikelihood"] = estimator("ps_mi_net", 256, 1).compute_loglikelihood(voice, lf0.unsqueeze(-1))

    quantizer = VectorQuantizer()
    _module(quantizer, convert_scope("codebook", scopes["codebook"])).train()
    step = quantizer(content.z_before.clone().requires_grad_())
    out |= {
        "codebook.loss": step.loss.detach(),
        "codebook.perplexity": step.perplexity,
        "codebook.embedding_after_ema": quantizer.embedding[:16],
    }
    schedule = WarmupMilestones(start=1e-6, peak=2.5e-4, warmup=10, milestones=(20, 30, 40))
    out["schedule.lr"] = torch.tensor([schedule.compute_rate(step) for step in range(45)], dtype=torch.float64)
    return out


UNUSED = "encoder_lf0."  # the published pitch encoder: no conversion and no loss here uses it
NAMES = [n for n in load_reference() if not n.startswith(("in.", UNUSED)) and n not in ("shapes", "base_seed")]

# The reference's address KL lies 5.2e-5 of itself from the same formulas in float64: it is a small mean of differences
# of larger
# log-addresses. End to end another processor's rounding may move it as much; the formula itself is held to 1e-5 below.
ROUNDING = {"memory.kl_address": 1e-4}


@pytest.mark.parametrize("name", NAMES)
def test_array_agrees(name, reference, computed):
    expected, found = reference[name], computed[name].numpy()
    assert found.shape == expected.shape
    if expected.dtype.kind == "i":
        assert np.array_equal(found, expected)
    else:
        error = np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max()
        assert error <= ROUNDING.get(name, TOLERANCE)


def test_address_kl_of_the_reference_addresses(reference):
    voice, face = (torch.from_numpy(reference[f"memory.{by}_log_address"]) for by in ("speech", "face"))
    assert float(losses.compute_address_kl(voice, face)) == pytest.approx(
        float(reference["memory.kl_address"]), rel=TOLERANCE
    )
