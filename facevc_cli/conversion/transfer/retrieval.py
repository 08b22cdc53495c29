"""Moves content frames towards similar frames of the target's recording.

This replaces what they still hold of the source's speaker.

After Baas, van Niekerk and Kamper, "Voice Conversion With Just Nearest Neighbors", 2023, who replace every frame. Here
a frame moves by a share towards its neighbours. It is unchanged if the recording has no similar frame, because short
recordings lack many sounds.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.dsp.statistics import WHOLE, Statistics

NEIGHBOURS = 4
SHARPNESS = 20.0  # the neighbours' weights are a softmax over this times their cosines
UNLIKE, ALIKE = 0.6, 0.7  # cosine of the nearest frame: no change below the first, full change above the second
FRAMES_AT_ONCE = 4096  # limits memory: 80 MB per block with a recording of two minutes


def retrieve(z: Tensor, own: Tensor | None, share: float, statistics: Statistics = WHOLE) -> Tensor:
    """Moves content z (B, T, z_dim) towards the target's frames `own` (n, z_dim). z keeps its mean and deviation over
    time.

    share: how far a frame moves towards the mean of its neighbours, from 0 to 1. Without frames of the target, z is
    unchanged.
    """
    if own is None or not share:
        return z
    directions = F.normalize(own, dim=-1)

    def blend_neighbours(frames: Tensor) -> Tensor:
        alike, where = (F.normalize(frames, dim=-1) @ directions.T).topk(min(NEIGHBOURS, len(own)), dim=-1)
        neighbours = (own[where] * (SHARPNESS * alike).softmax(-1)[..., None]).sum(-2)
        return torch.lerp(frames, neighbours, share * ((alike[..., :1] - UNLIKE) / (ALIKE - UNLIKE)).clamp(0, 1))

    made = torch.cat([blend_neighbours(frames) for frames in z.split(FRAMES_AT_ONCE, dim=1)], dim=1)
    measured = statistics.gather("content before retrieval", z, axis=1), statistics.gather("retrieved", made, axis=1)
    (std, mean), (made_std, made_mean) = (torch.std_mean(x, 1, correction=0, keepdim=True) for x in measured)
    return (made - made_mean) / (made_std + 1e-3) * std + mean
