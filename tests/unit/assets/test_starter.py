"""The bundled starter model on the bundled example: what the README's first command does."""

import numpy as np
import pytest
from helpers.repository import EXAMPLES
from torch.nn.functional import cosine_similarity

from facevc_cli import Converter, load_model
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.families.checkpoint import find_bundled_checkpoint
from facevc_cli.files.audio import load_audio
from facevc_cli.files.image import load_image
from facevc_cli.training.weights import WEIGHTS


@pytest.fixture(scope="module")
def converter() -> Converter:
    return Converter(device="cpu")


def test_bundle_is_small_and_whole():
    size = sum(p.stat().st_size for p in find_bundled_checkpoint().rglob("*") if p.is_file())
    assert size < 60e6
    assert (find_bundled_checkpoint() / WEIGHTS).is_file()
    model = load_model()
    assert not model.training
    assert all(p.isfinite().all() for p in model.parameters())


def test_the_examples_voice_follows_the_face(converter):
    """As long, as loud, the words' rhythm kept, the pitch where the model says that the face's voice lies."""
    source, rate = load_audio(EXAMPLES / "speech.wav")
    wav, out_rate = converter.convert(EXAMPLES / "speech.wav", face=EXAMPLES / "face.jpg")
    assert out_rate == 22050
    assert len(wav) / out_rate == pytest.approx(len(source) / rate, abs=0.01)
    assert np.sqrt(np.mean(wav**2)) == pytest.approx(np.sqrt(np.mean(source**2)), rel=0.25)
    before, after = (extract_f0(w, r, r // 100) for w, r in ((source, rate), (wav, out_rate)))
    target = converter.target_from_face(EXAMPLES / "face.jpg")
    wanted_hz = float(np.exp(converter.find_log_f0(target)))
    assert 160 < wanted_hz < 280  # a woman's
    assert np.exp(np.log(after[after > 0]).mean()) == pytest.approx(wanted_hz, rel=0.1)
    frames = min(len(before), len(after))
    assert np.mean((before[:frames] > 0) == (after[:frames] > 0)) > 0.75


@pytest.mark.parametrize("another", ["face_man.jpg", "face_woman.jpg"])
def test_a_mirrored_face_recalls_nearly_the_same_voice(converter, another):
    image = load_image(EXAMPLES / "face.jpg")
    face, mirrored = (converter.target_from_face(i) for i in (image, np.ascontiguousarray(image[:, ::-1])))
    other = converter.target_from_face(EXAMPLES / another)
    assert float(cosine_similarity(face.speaker, mirrored.speaker)) > max(
        0.8, float(cosine_similarity(face.speaker, other.speaker))
    )
    entropy = float(-(face.address * face.address.clamp_min(1e-12).log()).sum())
    assert entropy < 0.8 * np.log(face.address.shape[1])  # the face chooses among the slots
