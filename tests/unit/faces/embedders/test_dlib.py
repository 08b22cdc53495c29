"""faces/embedders/dlib.py: its weights, and which settings name them."""

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces import detection
from facevc_cli.faces.analyser import make_settings
from facevc_cli.faces.embedders.dlib import DlibEmbedder


def test_damaged_weights_are_refused(monkeypatch):
    monkeypatch.setitem(detection.DLIB_WEIGHTS, "dlib_face_recognition_resnet_model_v1.dat", "0" * 64)
    with pytest.raises(FaceVCError, match="expected sha256"):
        DlibEmbedder()


def test_its_settings_are_those_of_every_store_so_far():
    assert make_settings("dlib", "dlib", "largest")["weights"] == "55533b28a95800a5"
    assert make_settings("mtcnn", "facenet", "largest")["weights"] == "vggface2"
