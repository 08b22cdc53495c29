"""HiFi-GAN's generator for a stream: each layer keeps the end of what it heard.

So a step hears the whole past, and computes nothing of it again. What follows the frames that are asked for is heard by
the first layers only, as far as it reaches those frames.
"""

from math import ceil
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from facevc_cli.vocoders.hifigan import Hifigan, HifiganSizes

Number = int | Tensor  # a Tensor () while it is traced
LEARNT_FRAMES = 40  # a step of so many fills what each layer keeps


class HifiganStream:
    """A `VocoderStream`. If the frames after `count` reach as far as the vocoder hears, its samples are the whole's.

    past: the end of what each layer heard, up to the last spoken frame.
    """

    def __init__(self, vocoder: "Hifigan"):
        self.vocoder = vocoder
        self.reset()

    def reset(self) -> None:
        self.past: dict[nn.Module, Tensor] = {}

    @torch.inference_mode()
    def speak(self, log_mels: Tensor, count: int, spoken: int, start_frame: int) -> Tensor:
        return self.speak_step(self.vocoder.check_log_mels(log_mels), count, spoken, self.vocoder.in_bfloat16)

    def speak_step(self, log_mels: Tensor, count: Number, spoken: Number, bfloat16: bool = False) -> Tensor:
        """Does `speak` in a way that can be traced, if each layer has its past."""
        self._spoken = spoken  # in samples of the layer that hears
        self._limits = self._plan_limits(count)
        wav = self.vocoder.generate(log_mels[None], self._hear, bfloat16)
        return wav[0, : count * self.vocoder.hop_samples]

    def _plan_limits(self, count: Number) -> dict[nn.Module, tuple[Number | None, Number | None]]:
        """Returns how many samples some layers hear at most, and how many of their own are used. None: all."""
        generator = self.vocoder.generator
        limits: dict[nn.Module, tuple[Number | None, Number | None]] = {}
        heard = None
        for layer, (into_blocks, out) in zip(generator.ups, plan_lengths(generator.sizes, count), strict=True):
            limits[layer] = heard, into_blocks
            heard = out
        return limits | {generator.conv_post: (heard, None)}

    def _hear(self, layer: nn.Module, x: Tensor) -> Tensor:
        """(1, C, 1, T) -> (1, D, 1, T * rate), as if the layer heard all from the beginning of the stream."""
        kernel = cast("nn.Conv2d | nn.ConvTranspose2d", getattr(layer, "kernel", layer))  # of a LowRankConv
        width, rate = kernel.kernel_size[1], kernel.stride[1]
        reach = ceil(width / rate) if isinstance(kernel, nn.ConvTranspose2d) else width // 2 * kernel.dilation[1]
        most, used = self._limits.get(layer, (None, None))
        past = self.past.get(layer)
        before = 0 if past is None else past.shape[-1]
        x = x[..., :most]
        heard = x if past is None else torch.cat([past, x], -1)
        end = before + self._spoken
        self.past[layer] = heard[..., max(0, end - reach) : end].clone()
        self._spoken *= rate
        return cast(Tensor, layer(heard)[..., before * rate :][..., :used])


class HifiganStreamGraph(nn.Module):
    """A `StreamGraph`, in float32."""

    def __init__(self, vocoder: "Hifigan"):
        super().__init__()
        self.vocoder = vocoder
        stream = HifiganStream(vocoder)
        with torch.inference_mode():
            stream.speak_step(torch.zeros(LEARNT_FRAMES, vocoder.n_mels), LEARNT_FRAMES, LEARNT_FRAMES)
        self._layers = tuple(stream.past)
        self._shapes = [past.shape for past in stream.past.values()]
        self.past_size = sum(shape.numel() for shape in self._shapes)

    def forward(self, log_mel: Tensor, past: Tensor, spoken: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        stream = HifiganStream(self.vocoder)
        parts = past.split([shape.numel() for shape in self._shapes])
        shaped = (part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True))
        stream.past = dict(zip(self._layers, shaped, strict=True))
        wav = stream.speak_step(log_mel[0], count[0], spoken[0])
        return wav, torch.cat([stream.past[layer].flatten() for layer in self._layers])


def plan_lengths(sizes: "HifiganSizes", count: Number) -> list[tuple[Number, Number]]:
    """Returns for each stage how many samples its blocks need, and how many of theirs the next stage needs."""
    blocks = zip(sizes.block_kernels, sizes.block_dilations, strict=True)
    widest = max(sum(k // 2 * (d + sizes.paired) for d in dilations) for k, dilations in blocks)
    needed = count
    for rate in sizes.rates:
        needed = needed * rate
    needed = needed + sizes.end_kernel // 2
    plan = []
    for rate, kernel in reversed(list(zip(sizes.rates, sizes.kernels, strict=True))):
        plan.append((needed + widest, needed))
        needed = -(-(needed + widest + kernel) // rate)  # rounded up
    return plan[::-1]
