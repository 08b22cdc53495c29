"""HiFi-GAN's generator for a stream: each layer keeps the end of what it heard.

So a step hears the whole past, and computes nothing of it again. What follows the frames that are asked for is heard by
the first layers only, as far as it reaches those frames.
"""

from math import ceil
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

if TYPE_CHECKING:
    from facevc_cli.vocoders.hifigan import Hifigan, HifiganSizes, ResidualBlock


class HifiganStream:
    """A `VocoderStream`. If the frames after `count` reach as far as the vocoder hears, its samples are the whole's."""

    def __init__(self, vocoder: "Hifigan"):
        self.vocoder = vocoder
        self.reset()

    def reset(self) -> None:
        self._past: dict[nn.Module, Tensor] = {}  # the end of what each layer heard, up to the last spoken frame

    @torch.inference_mode()
    def speak(self, log_mels: Tensor, count: int, spoken: int, start_frame: int) -> Tensor:
        from facevc_cli.vocoders.hifigan import LAST_SLOPE

        vocoder, generator = self.vocoder, self.vocoder.generator
        checked = vocoder.check_log_mels(log_mels)
        x = ((checked - vocoder.mean) / vocoder.scale).T[None, :, None]
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=vocoder.in_bfloat16):
            x = self._hear(generator.conv_pre, x, spoken)
            for stage, (into_blocks, out) in enumerate(plan_lengths(generator.sizes, count)):
                x = leaky_relu(x, generator.sizes.slope)
                x = self._hear(generator.ups[stage], x, spoken)[..., :into_blocks]
                spoken *= generator.sizes.rates[stage]
                x = self._run_blocks(generator.list_blocks(stage), x, spoken)[..., :out]
        x = self._hear(generator.conv_post, leaky_relu(x.float(), LAST_SLOPE), spoken)
        return torch.tanh(x)[0, 0, 0, : count * vocoder.hop_samples]

    def _run_blocks(self, blocks: "list[ResidualBlock]", x: Tensor, spoken: int) -> Tensor:
        branches = [self._run_block(block, x, spoken) for block in blocks]
        return torch.stack(branches).mean(0) if len(branches) > 1 else branches[0]

    def _run_block(self, block: "ResidualBlock", x: Tensor, spoken: int) -> Tensor:
        for i, conv in enumerate(block.convs1):
            y = self._hear(conv, leaky_relu(x, block.slope), spoken)
            if block.convs2:
                y = self._hear(block.convs2[i], leaky_relu(y, block.slope), spoken)
            x = x + y
        return x

    def _hear(self, layer: nn.Module, x: Tensor, spoken: int) -> Tensor:
        """(1, C, 1, T) -> (1, D, 1, T * rate), as if the layer heard all from the beginning of the stream."""
        kernel = cast("nn.Conv2d | nn.ConvTranspose2d", getattr(layer, "kernel", layer))  # of a LowRankConv
        width, rate = kernel.kernel_size[1], kernel.stride[1]
        reach = ceil(width / rate) if isinstance(kernel, nn.ConvTranspose2d) else width // 2 * kernel.dilation[1]
        past = self._past.get(layer)
        before = 0 if past is None else past.shape[-1]
        heard = x if past is None else torch.cat([past, x], -1)
        end = before + spoken
        self._past[layer] = heard[..., max(0, end - reach) : end].clone()
        return cast(Tensor, layer(heard)[..., before * rate :])


def plan_lengths(sizes: "HifiganSizes", count: int) -> list[tuple[int, int]]:
    """Returns for each stage how many samples its blocks need, and how many of theirs the next stage needs."""
    blocks = zip(sizes.block_kernels, sizes.block_dilations, strict=True)
    widest = max(sum(k // 2 * (d + sizes.paired) for d in dilations) for k, dilations in blocks)
    needed = count
    for rate in sizes.rates:
        needed *= rate
    needed += sizes.end_kernel // 2
    plan = []
    for rate, kernel in reversed(list(zip(sizes.rates, sizes.kernels, strict=True))):
        plan.append((needed + widest, needed))
        needed = ceil((needed + widest + kernel) / rate)
    return plan[::-1]
