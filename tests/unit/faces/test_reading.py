"""faces/reading.py: the register and the age in the last two numbers of an embedding."""

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.reading import FUSED_DIM, FaceReading, pack, read_age, read_face, read_register


def make(log_odds: float, years: float) -> np.ndarray:
    return pack(np.zeros(128, np.float32), np.ones(32, np.float32), log_odds, years)


@pytest.mark.parametrize("shape", [(), (128,), (3, 512), (FUSED_DIM, 1)])
def test_other_embeddings_are_refused(shape):
    for read in (read_register, read_age, read_face):
        with pytest.raises(FaceVCError, match="--embedder fused"):
            read(np.zeros(shape))


def test_what_was_packed_is_read():
    embedding = make(np.log(3), 52.5)
    assert embedding.shape == (162,) and embedding.dtype == np.float32
    assert embedding[:128].tolist() == [0] * 128 and embedding[128:160].tolist() == [1] * 32
    assert embedding[160] == pytest.approx(0.03 * 1.0986, abs=1e-5) and embedding[161] == pytest.approx(0.125)
    reading = read_face(embedding)
    assert reading.feminine == pytest.approx(0.75) and reading.age_years == pytest.approx(52.5, abs=1e-4)
    assert reading.certainty == pytest.approx(0.75) and FaceReading(0.1, 30).certainty == 0.9


def test_many_are_read_at_once_and_extremes_stay_in_range():
    many = np.stack([make(0, 40), make(-1000, -5), make(1000, 300)])
    assert read_register(many) == pytest.approx([0.5, 0, 1], abs=1e-9)
    assert read_age(many).tolist() == pytest.approx([40, 15, 90])


def test_frames_of_a_video_have_the_reading_of_their_mean_log_odds():
    assert read_register(np.mean([make(1, 30), make(3, 40)], axis=0)) == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
