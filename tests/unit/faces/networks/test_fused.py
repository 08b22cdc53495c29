"""faces/networks: the two networks give what their original graphs gave elsewhere."""

import numpy as np
import pytest
import torch
from helpers.pictures import draw_pattern
from helpers.repository import GOLDEN

from facevc_cli.faces.embedders.fused import load_fused_network
from facevc_cli.faces.networks.faceres import Faceres, pad_same
from facevc_cli.faces.networks.fused import FusedNetwork

FACE_NETWORKS = GOLDEN / "face_networks.npz"  # make_face_networks.py beside it makes it again


@pytest.fixture(scope="module")
def network() -> FusedNetwork:
    return load_fused_network()


def to_pixels(crop: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32))


def test_faceres_as_its_tensorflow_graph_has_it(network):
    """Its weights are float16 in the original too, but for the batch normalisation, which ours multiplies in."""
    with np.load(FACE_NETWORKS) as golden:
        found = network.faceres(to_pixels(draw_pattern(160)))[0].numpy()
        assert golden["faceres"].max() > 1
        np.testing.assert_allclose(found, golden["faceres"], atol=0.03)


def test_gender_v1_as_its_onnx_graph_has_it(network):
    with np.load(FACE_NETWORKS) as golden:
        assert 0.05 < golden["gender_v1"][1] < 0.95
        found = network.gender_v1(to_pixels(draw_pattern(32)) / 8 + 100)[1][0].softmax(0).numpy()
        np.testing.assert_allclose(found, golden["gender_v1"], atol=1e-3)


def test_padding_is_tensorflows():
    """SAME with stride 2 on 4 numbers pads one zero, at the end."""
    x = torch.arange(1.0, 17).view(1, 1, 4, 4)
    assert pad_same(x, 2).shape == (1, 1, 5, 5) and pad_same(x, 2)[0, 0, 0].tolist() == [1, 2, 3, 4, 0]
    assert pad_same(x, 1).shape == (1, 1, 6, 6)


def test_the_last_block_is_the_rest_of_the_network():
    torch.manual_seed(0)
    network, pixels = Faceres().eval(), torch.rand(2, 3, 64, 64) * 255
    maps = network.see_last_map(pixels)
    assert maps.shape == (2, 1024, 2, 2)
    torch.testing.assert_close(network.blocks[-1](maps).mean((2, 3)), network(pixels))


def test_a_face_and_its_mirror_image_give_one_projection():
    torch.manual_seed(0)
    network, crops, small = FusedNetwork().eval(), torch.rand(2, 3, 64, 64) * 255, torch.rand(2, 3, 32, 32) * 255
    with torch.no_grad():
        found, swapped = (network(torch.ones(128), crops[order], small[order]) for order in ([0, 1], [1, 0]))
    assert found.shape == (34,)
    torch.testing.assert_close(found, swapped)
