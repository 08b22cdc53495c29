"""Face-voice memory: slots addressed by a face (through their keys) or by a voice (through their values).

Source: Sheng et al., arXiv 2309.09470: address = softmax(cosine / temperature), recall = address . values.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError

KMEANS_ROUNDS = 20


class VoiceMemory(nn.Module):
    """`slots` pairs of a face key and a voice value, both of `voice_dim`, drawn from N(0, init_std).

    It takes embeddings from the speaker encoder and the face encoder. Addresses are log-probabilities over the slots.
    """

    def __init__(
        self,
        voice_dim: int = 256,
        slots: int = 96,
        temperature: float = 1.0,
        init_std: float = 0.5,
        unit_recall: bool = False,
    ) -> None:
        super().__init__()
        self.unit_recall = unit_recall  # d-vectors have unit length, but a mean of several is shorter
        self.temperature = _check_temperature(temperature)
        self.init_std = init_std
        self.values = nn.Parameter(init_std * torch.randn(slots, voice_dim))
        self.keys = nn.Parameter(init_std * torch.randn(slots, voice_dim))

    def address(self, embedding: Tensor, by: Literal["voice", "face"], temperature: float | None = None) -> Tensor:
        """Log-address (B, slots) of `embedding` (B, voice_dim): a voice's against the values, a face's against the
        keys.

        `temperature` divides the cosine; None means the memory's own. Raises FaceVCError unless it is above zero.
        """
        scale = self.temperature if temperature is None else _check_temperature(temperature)
        slots = self.values if by == "voice" else self.keys
        cosine = F.normalize(embedding, dim=-1) @ F.normalize(slots, dim=-1).T
        return (cosine / scale).log_softmax(dim=-1)

    def recall(self, log_address: Tensor) -> Tensor:
        """Recalled voice embedding (B, voice_dim) at `log_address` (B, slots)."""
        recalled = log_address.exp() @ self.values
        return F.normalize(recalled, dim=-1) if self.unit_recall else recalled

    @staticmethod
    def mix(log_addresses: Tensor, weights: Tensor) -> Tensor:
        """Log of the weighted mean of several addresses: (K, slots), (K,) -> (1, slots).

        Weights are scaled to sum to 1.

        Raises FaceVCError on negative weights, weights that are all zero, or another number of them.
        """
        weights = weights.to(log_addresses)
        if weights.shape != log_addresses.shape[:1] or not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
            raise FaceVCError(
                f"The weights {weights.tolist()} cannot mix {len(log_addresses)} faces. "
                "Give one weight per face, none negative and at least one above zero."
            )
        shares = weights / weights.sum()
        return (log_addresses + shares.log().unsqueeze(1)).logsumexp(dim=0, keepdim=True)

    @torch.no_grad()
    def initialise_values(self, vectors: Tensor, seed: int = 0) -> None:
        """Set the values to k-means centres of voice embeddings `vectors` (n, voice_dim) plus slight noise.

        Redraw the keys.

        With fewer vectors than slots some centres repeat. Then only the noise makes them differ.
        """
        slots, dim = self.values.shape
        if vectors.ndim != 2 or vectors.shape[1] != dim or len(vectors) == 0:
            raise FaceVCError(
                f"The memory's values need voice embeddings of shape (n, {dim}), n >= 1; found {tuple(vectors.shape)}."
            )
        generator = torch.Generator().manual_seed(seed)
        points = vectors.detach().float().cpu()
        centres = _find_centres(points, slots, generator)
        noise = 0.05 * points.std(unbiased=False) * torch.randn(slots, dim, generator=generator)
        self.values.copy_(centres + noise)
        self.keys.copy_(self.init_std * torch.randn(slots, dim, generator=generator))


def _find_centres(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` centres of `points` (n, dim), started from a shuffle of the points; an empty cluster keeps its centre."""
    order = torch.randperm(len(points), generator=generator)
    centres = points[order.repeat(-(-count // len(points)))[:count]].clone()
    for _ in range(KMEANS_ROUNDS):
        nearest = torch.cdist(points, centres).argmin(dim=1)
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(sizes.unsqueeze(1) > 0, sums / sizes.clamp(min=1).unsqueeze(1), centres)
    return centres


def _check_temperature(temperature: float) -> float:
    if not temperature > 0:
        raise FaceVCError(
            f"The memory's temperature must be above zero; found {temperature}. The paper uses 1. Lower picks fewer "
            "stored voices."
        )
    return float(temperature)
