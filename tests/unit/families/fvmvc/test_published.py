import pytest
import torch
from torch import nn

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.published import convert_published, convert_scope, read_published
from facevc_cli.training.weights import load_weights


class Harmless:
    """Needs code to be unpickled."""


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(FaceVCError, match="cannot be read"):
        read_published(path)


def test_missing_file_and_code_are_refused(tmp_path):
    with pytest.raises(FaceVCError, match="no checkpoint"):
        read_published(tmp_path / "absent.pt")
    torch.save({"encoder": Harmless()}, tmp_path / "code.pt")
    with pytest.raises(FaceVCError, match="need code"):
        read_published(tmp_path / "code.pt")


def test_truncated_file_is_refused(tmp_path):
    torch.save({"encoder": {"conv.weight": torch.zeros(50, 50)}}, tmp_path / "model.pt")
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FaceVCError, match="cannot be read"):
        read_published(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [torch.zeros(2), {"epoch": 3}, {}])
def test_other_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(FaceVCError, match="no state dicts"):
        read_published(tmp_path / "model.pt")


def test_reading_keeps_state_dicts_only(tmp_path):
    content = {"encoder": {"conv.weight": torch.ones(2)}, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3}
    torch.save(content, tmp_path / "model.pt")
    assert list(read_published(tmp_path / "model.pt")) == ["encoder"]


def test_missing_scope_and_unknown_keys_are_named():
    with pytest.raises(FaceVCError, match="lacks encoder_spk, decoder"):
        convert_published({"encoder": {}})
    with pytest.raises(FaceVCError, match=r"`encoder` holds `conv\.surprise`"):
        convert_scope("encoder", {"conv.surprise": torch.zeros(1)})
    with pytest.raises(FaceVCError, match="`other` is unknown"):
        convert_scope("other", {})


def test_kinds_and_prefixes():
    x = torch.zeros(1)
    common = {"encoder": {"module.conv.weight": x}, "decoder": {"decoder.lstm1.bias_ih_l0": x}}
    tensors, kind = convert_published(
        {**common, "encoder_spk": {"face_key_memory": x, "face_encoder.key.linear_layer.bias": x}}
    )
    assert kind == "fvmvc"
    assert set(tensors) == {
        "content_encoder.conv.weight",
        "decoder.lstm_in.bias_ih_l0",
        "memory.keys",
        "face_encoder.key.bias",
    }
    tensors, kind = convert_published({**common, "encoder_spk": {"first_conv_layers.3.bias": x}})
    assert kind == "vqmivc"
    assert "speaker_encoder.conv_first.3.bias" in tensors


def test_loading_names_every_fault_and_changes_nothing():
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    with pytest.raises(
        FaceVCError, match=r"a\.pt: .*wrong shape: weight \(2, 4\) instead of \(2, 3\); missing: bias; unknown: extra"
    ):
        load_weights(module, {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, "a.pt")
    assert torch.equal(module.weight, before)
    load_weights(module, {"weight": torch.ones(2, 3), "bias": torch.ones(2)}, "a.pt")
    assert module.weight.sum().item() == 6
