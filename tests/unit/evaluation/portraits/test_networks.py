"""evaluation/portraits/networks.py: FID and LPIPS by networks of the user's."""

import numpy as np
import pytest
from helpers.pictures import save_grey

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.portraits.networks import PictureNetwork, measure_fid, measure_lpips

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_network(path, nodes, inputs, size=("h", "w")):
    """nodes: the kind, what it takes and its attributes. Node i makes `i`; the last one's is the output."""
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, *size]) for name in inputs]
    output = helper.make_tensor_value_info(str(len(nodes) - 1), TensorProto.FLOAT, None)
    made = [helper.make_node(kind, takes, [str(i)], **about) for i, (kind, takes, about) in enumerate(nodes)]
    graph = helper.make_graph(made, "network", given, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def write_means(path, size=("h", "w")):
    """Its features are the means of the channels."""
    return write_network(path, [("GlobalAveragePool", ["x"], {})], ["x"], size)


def write_differences(path, axes):
    """It gives the mean absolute difference of two pictures over these axes."""
    nodes = [("Sub", ["a", "b"], {}), ("Abs", ["0"], {}), ("ReduceMean", ["1"], {"axes": axes})]
    return write_network(path, nodes, ["a", "b"])


def test_fid_of_one_grey_is_the_squared_distance_of_the_means(tmp_path):
    """Two sets of pictures without any spread: 3 channels, each 10 apart."""
    drawn = [save_grey(tmp_path / f"a{i}.png", 100) for i in range(2)]
    real = [save_grey(tmp_path / f"b{i}.png", 110) for i in range(20)]  # more than a batch
    found = measure_fid(PictureNetwork(write_means(tmp_path / "means.onnx"), 1, 299), drawn, real)
    assert found.value == pytest.approx(300, rel=1e-4) and found.n == 2


def test_a_network_says_how_large_its_pictures_are(tmp_path):
    network = PictureNetwork(write_means(tmp_path / "small.onnx", (8, 16)), 1, 299)
    assert network.read(save_grey(tmp_path / "a.png", 7)).shape == (3, 8, 16)


def test_lpips_compares_pictures_of_two_owners(tmp_path):
    """Greys 0, 51 and 102 are 0, .4 and .8 from -1. The last two belong to one voice."""
    pictures = [save_grey(tmp_path / f"{i}.png", 51 * i) for i in range(3)]
    network = PictureNetwork(write_differences(tmp_path / "one.onnx", [1, 2, 3]), 2, 32)
    found = measure_lpips(network, pictures, np.array([0, 1, 1]))["LPIPS"]
    assert found.value == pytest.approx((0.4 + 0.8) / 2, abs=1e-5) and found.n == 2
    assert measure_lpips(network, pictures, np.zeros(3, int)) == {}
    several = PictureNetwork(write_differences(tmp_path / "several.onnx", [2, 3]), 2, 32)
    with pytest.raises(FaceVCError, match="expected one distance for each pair of pictures, found 3"):
        measure_lpips(several, pictures, np.arange(3))


def test_other_files_are_refused(tmp_path):
    (tmp_path / "wrong.onnx").write_bytes(b"no network")
    for name in ("wrong.onnx", "absent.onnx"):
        with pytest.raises(FaceVCError, match=f"{name}: expected a network as an ONNX file"):
            PictureNetwork(tmp_path / name, 1, 299)
    with pytest.raises(FaceVCError, match=r"inputs of the shape \(n, 3, H, W\): 2, found \['n', 3, 'h', 'w'\]"):
        PictureNetwork(write_means(tmp_path / "means.onnx"), 2, 299)
    fixed = PictureNetwork(write_network(tmp_path / "sum.onnx", [("ReduceSum", ["x"], {"keepdims": 0})], ["x"]), 1, 8)
    with pytest.raises(FaceVCError, match=r"expected finite numbers for each of 2 pictures, found the shape \(\)"):
        fixed.run(np.zeros((2, 3, 8, 8), np.float32))
