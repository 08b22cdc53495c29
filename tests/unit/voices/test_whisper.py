"""voices/whisper.py: attention with a gradient."""

import torch
from torch.nn import functional as F

from facevc_cli.voices.whisper import attend


def test_attention_with_a_gradient_is_the_fused_one():
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    ours, fused = attend(*inputs), F.scaled_dot_product_attention(*inputs)
    torch.testing.assert_close(ours, fused)
    towards = torch.randn_like(ours)
    torch.testing.assert_close(torch.autograd.grad(ours, inputs, towards), torch.autograd.grad(fused, inputs, towards))
