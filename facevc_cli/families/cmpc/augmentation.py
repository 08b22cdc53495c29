"""Changes pictures of faces at random, so that an encoder does not learn pictures by heart."""

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue in the brightness (ITU-R BT.601)
MOST = 255.0


def vary_pictures(pictures: Tensor, drawn: torch.Generator, smallest_view: float, colour_jitter: float) -> Tensor:
    """(B, H, W, 3) from 0 to 255 -> the same size, float32: a part of each picture, in half of them mirrored.

    smallest_view: the part's side is this share of the picture's or more. colour_jitter: brightness, contrast and
    saturation are each multiplied by 1 - colour_jitter to 1 + colour_jitter. drawn: a generator of the CPU.
    """
    given = pictures.permute(0, 3, 1, 2).float()
    with torch.autocast(given.device.type, enabled=False):  # in bfloat16 a place in a picture is known to half a pixel
        return shift_colours(cut_views(given, drawn, smallest_view), drawn, colour_jitter).permute(0, 2, 3, 1)


def cut_views(pictures: Tensor, drawn: torch.Generator, smallest: float) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H, W): a part of each picture, enlarged; by chance mirrored."""
    chances = torch.rand((4, len(pictures)), generator=drawn).to(pictures)
    side = smallest + (1 - smallest) * chances[0]
    mirror = torch.where(chances[1] < 0.5, -1.0, 1.0)
    theta = pictures.new_zeros((len(pictures), 2, 3))
    theta[:, 0, 0], theta[:, 1, 1] = side * mirror, side
    theta[:, :, 2] = ((2 * chances[2:] - 1) * (1 - side)).T  # so far that the part stays inside
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def shift_colours(pictures: Tensor, drawn: torch.Generator, jitter: float) -> Tensor:
    """(B, 3, H, W) from 0 to 255 -> the same with other brightness, contrast and saturation."""
    factors = 1 + jitter * (2 * torch.rand((3, len(pictures)), generator=drawn) - 1)
    brightness, contrast, saturation = factors.to(pictures)[:, :, None, None, None]
    grey = (pictures * pictures.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    changed = grey + saturation * (pictures - grey)
    middle = grey.mean((2, 3), keepdim=True)
    return (brightness * (middle + contrast * (changed - middle))).clamp(0, MOST)
