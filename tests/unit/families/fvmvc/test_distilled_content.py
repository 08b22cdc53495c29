"""The content encoder that is distilled from Whisper: its bottleneck, and its arithmetic."""

import pytest
import torch
from torch.nn import functional as F

from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder, TeacherBottleneck


def make_pair(bottleneck: TeacherBottleneck, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    content = torch.randn(4, 50, 24)
    z = bottleneck(content, 43)
    return content, z + noise * torch.randn_like(z)


def test_a_bottleneck_finds_the_map_behind_the_content():
    torch.manual_seed(0)
    true, fitted = TeacherBottleneck(24, 6), TeacherBottleneck(24, 6)
    with torch.no_grad():
        pairs = [make_pair(true, 0.3) for _ in range(20)]
        content, z = make_pair(true, 0.0)
        before = F.cosine_similarity(fitted(content, 43), z, dim=-1).mean()
        fitted.fit(pairs)
        after = F.cosine_similarity(fitted(content, 43), z, dim=-1).mean()
    assert before < 0.5 and after > 0.98
    assert not fitted.linear.bias.any()


def test_only_inference_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    encoder = DistilledContentEncoder(100.0, "ln", dim=32, layers=2, heads=2, z_dim=8).eval()
    mel = torch.randn(2, 80, 90)
    found = {}
    for able in (False, True):
        monkeypatch.setattr(
            "facevc_cli.families.fvmvc.distilled_content.prefers_bfloat16", lambda device, able=able: able
        )
        with torch.no_grad():
            found["exact", able] = encoder(mel).z
        with torch.inference_mode():
            found["inference", able] = encoder(mel).z
    assert torch.equal(found["exact", True], found["exact", False])
    assert torch.equal(found["inference", False], found["exact", False])
    near, exact = found["inference", True], found["exact", True]
    assert near.dtype == torch.float32 and not torch.equal(near, exact)
    assert F.cosine_similarity(near, exact, dim=-1).min() > 0.99
