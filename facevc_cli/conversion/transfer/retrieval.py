"""Content out of a voice's own recording: what is still a speaker's in a source's frames gives way to the target's.

After Baas, van Niekerk and Kamper, "Voice Conversion With Just Nearest Neighbors", 2023, who replace every frame; here a frame is taken by a share
towards its neighbours, and left alone where the recording holds nothing like it, for short recordings lack many sounds.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 4
SHARPNESS = 20.0  # of the neighbours' weights, softmax over this times their cosines
UNLIKE, ALIKE = 0.6, 0.7  # cosines: the nearest frame below the first changes nothing, above the second counts in full
FRAMES_AT_ONCE = 4096  # of an hour: against two minutes' recording 80 MB a block


def retrieve(z: Tensor, own: Tensor | None, share: float) -> Tensor:
    """z: content (B, T, z_dim); own: the target's frames (n, z_dim) -> (B, T, z_dim), with z's own mean and deviation over time.

    share: how far a frame is taken towards the mean of its neighbours, from 0 to 1. Without frames of the target, z stays as it is.
    """
    if own is None or not share:
        return z
    directions = F.normalize(own, dim=-1)

    def blend_neighbours(frames: Tensor) -> Tensor:
        alike, where = (F.normalize(frames, dim=-1) @ directions.T).topk(min(NEIGHBOURS, len(own)), dim=-1)
        neighbours = (own[where] * (SHARPNESS * alike).softmax(-1)[..., None]).sum(-2)
        return torch.lerp(frames, neighbours, share * ((alike[..., :1] - UNLIKE) / (ALIKE - UNLIKE)).clamp(0, 1))

    made = torch.cat([blend_neighbours(frames) for frames in z.split(FRAMES_AT_ONCE, dim=1)], dim=1)
    (std, mean), (made_std, made_mean) = (torch.std_mean(x, 1, correction=0, keepdim=True) for x in (z, made))
    return (made - made_mean) / (made_std + 1e-3) * std + mean
