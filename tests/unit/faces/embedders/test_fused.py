"""faces/embedders/fused.py on drawn faces, and which stores and models it fits."""

import numpy as np
import pytest
from helpers.pictures import draw_face

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceAnalyser, make_analyser, make_settings
from facevc_cli.faces.embedders import fused
from facevc_cli.faces.embedders.fused import FusedEmbedder, load_fused_network
from facevc_cli.faces.reading import read_age, read_register

SETTINGS = {"detector": "dlib", "embedder": "fused", "weights": FusedEmbedder.weights, "on_many": "largest"}


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser(embedder="fused")


def test_damaged_weights_are_refused(monkeypatch):
    monkeypatch.setattr(fused, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(FaceVCError, match="fused.safetensors: expected sha256"):
        load_fused_network()


def test_a_model_of_other_weights_is_refused():
    with pytest.raises(FaceVCError, match="weights 'first'; installed are .* Install the version of facevc"):
        make_analyser({**SETTINGS, "weights": "first"})


def test_its_settings_name_its_weights():
    assert make_settings("dlib", "fused", "largest") == SETTINGS
    assert make_analyser(SETTINGS).analyse(draw_face(3)).embedding.shape == (162,)


def test_it_begins_with_dlibs_descriptor(analyser):
    found, expected = analyser.analyse(draw_face(3)), FaceAnalyser().analyse(draw_face(3))
    assert found.embedding.shape == (162,) and found.embedding.dtype == np.float32
    np.testing.assert_array_equal(found.embedding[:128], expected.embedding)
    np.testing.assert_array_equal(found.crop, expected.crop)
    np.testing.assert_array_equal(analyser.analyse(draw_face(3)).embedding, found.embedding)
    assert 0 < read_register(found.embedding) < 1 and 15 <= read_age(found.embedding) <= 90


def test_the_mirror_image_is_read_nearly_alike(analyser):
    image, other = draw_face(3), analyser.analyse(draw_face(4)).embedding[128:160]
    found, mirrored = (analyser.analyse(np.ascontiguousarray(x)).embedding for x in (image, image[:, ::-1]))
    assert np.linalg.norm((found - mirrored)[128:160]) < 0.5 * np.linalg.norm(found[128:160] - other)
    assert abs(read_age(found) - read_age(mirrored)) < 4


def test_a_model_that_names_no_weights_keeps_its_embedder():
    """As early stores of dlib's faces."""
    assert make_analyser({"embedder": "dlib"}).analyse(draw_face(3)).embedding.shape == (128,)
