"""faces/embedders/facenet.py with a stand-in of its package."""

import sys
import types

import numpy as np
import pytest
from helpers.pictures import draw_face

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceAnalyser, NoFaceError


def _module(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content, __spec__=types.SimpleNamespace(origin="stand-in"))
    return module


def _stand_in_facenet():
    import torch

    class Network(torch.nn.Module):
        def __init__(self, pretrained):
            super().__init__()
            assert pretrained == "vggface2"

        def forward(self, pixels):
            assert pixels.shape == (1, 3, 128, 128) and pixels.abs().max() <= 1.0
            return pixels.mean((2, 3)).repeat(1, 171)[:, :512]

    class MTCNN:
        def __init__(self, keep_all, device):
            assert keep_all

        def detect(self, image):
            return (None, [None]) if image.mean() < 5 else (np.array([[60.0, 60.0, 190.0, 200.0]]), np.array([0.99]))

    return _module("facenet_pytorch", InceptionResnetV1=Network, MTCNN=MTCNN)


def test_the_papers_face_features_with_a_stand_in_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", _stand_in_facenet())
    analyser = FaceAnalyser("mtcnn", "facenet")
    found = analyser.analyse(draw_face(1))
    assert found.embedding.shape == (512,) and found.crop.shape == (128, 128, 3)
    np.testing.assert_allclose(found.embedding[:3], (found.crop.mean((0, 1)) - 127.5) / 128, atol=1e-4)
    with pytest.raises(NoFaceError):
        analyser.analyse(np.zeros((200, 200, 3), np.uint8))


def test_a_failed_download_says_what_to_do(monkeypatch):
    module = _stand_in_facenet()

    def refuse(pretrained):
        raise OSError("no route to host")

    module.InceptionResnetV1 = refuse
    monkeypatch.setitem(sys.modules, "facenet_pytorch", module)
    with pytest.raises(FaceVCError, match="no route to host"):
        FaceAnalyser(embedder="facenet")
