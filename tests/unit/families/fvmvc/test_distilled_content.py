"""The teacher's bottleneck, fitted to a content encoder that has been trained."""

import torch
from torch.nn import functional as F

from facevc_cli.families.fvmvc.distilled_content import TeacherBottleneck


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
