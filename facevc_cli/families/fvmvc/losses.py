"""Loss terms, each a function of tensors.

Sources: arXiv 2309.09470 (reconstruction, address), 2106.10132 (CPC, CLUB).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def compute_mel_distance(mel: Tensor, target: Tensor) -> Tensor:
    """MSE + L1 of two normalised log-mels of one shape."""
    return F.mse_loss(mel, target) + F.l1_loss(mel, target)


def compute_reconstruction(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    """MSE + L1 before and after the postnet; all (B, T, n_mels), normalised log-mel."""
    return compute_mel_distance(before, target) + compute_mel_distance(after, target)


def compute_address_kl(voice_log_address: Tensor, face_log_address: Tensor) -> Tensor:
    """KL(voice address || face address) in nats, mean over the batch; both (B, slots) log-probabilities."""
    return F.kl_div(face_log_address, voice_log_address, log_target=True, reduction="batchmean")


def compute_address_entropy(log_address: Tensor) -> Tensor:
    """Mean entropy in nats of (B, slots) log-addresses; log(slots) means that the memory is not used."""
    return -(log_address.exp() * log_address).sum(dim=-1).mean()


def compute_gaussian_loglikelihood(mean: Tensor, logvar: Tensor, y: Tensor) -> Tensor:
    """Log-likelihood in nats of `y` (B, T, dim) without its constant: summed over dim, mean over frames.

    mean, logvar: (B, T or 1, dim).
    """
    return -((mean - y).pow(2) / logvar.exp() + logvar).sum(dim=-1).mean() / 2


def compute_club_bound(mean: Tensor, logvar: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """CLUB's sampled bound, in nats: mean over frames of log q(y | x) - log q(y[index] | x).

    Shapes as `compute_gaussian_loglikelihood`.
    """
    positive = (mean - y).pow(2)
    negative = (mean - y[index]).pow(2)
    return ((negative - positive) / logvar.exp()).sum(dim=-1).mean() / 2


def compute_cpc_loss(
    predictions: Sequence[Tensor], z: Tensor, negatives: int = 10, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """InfoNCE of each step's prediction among `negatives` other frames of the same utterance.

    predictions: entry k (B, T, z_dim) is k + 1 frames ahead; z: (B, T, z_dim); the (CPU) generator draws the negatives.
    Returns the loss, mean over the steps, and the accuracy per step (steps,). An utterance too short for all steps
    trains only the steps that fit. Fewer than three frames give a loss of zero.
    """
    steps = min(len(predictions), z.shape[1] - 2)
    if steps < 1:
        return z.sum() * 0, z.new_zeros(len(predictions))
    frames = z.shape[1] - steps
    rows = torch.arange(len(z), device=z.device).view(-1, 1, 1)
    losses, accuracies = [], []
    for ahead, prediction in enumerate(predictions[:steps], start=1):
        targets = z[:, ahead : ahead + frames]
        # An offset of 1..frames-1 along the utterance's own frames never selects the positive.
        offsets = torch.randint(1, frames, (len(z), negatives, frames), generator=generator)
        others = targets[rows, ((offsets + torch.arange(frames)) % frames).to(z.device)]
        candidates = torch.cat([targets.unsqueeze(1), others], dim=1)
        logits = (candidates * prediction[:, :frames].unsqueeze(1)).sum(dim=-1) / math.sqrt(z.shape[-1])
        truth = torch.zeros(len(z), frames, dtype=torch.long, device=z.device)
        losses.append(F.cross_entropy(logits, truth))
        accuracies.append((logits.argmax(dim=1) == 0).float().mean())
    accuracy = F.pad(torch.stack(accuracies), (0, len(predictions) - steps))
    return torch.stack(losses).mean(), accuracy


def compute_content_distance(z: Tensor, wanted: Tensor) -> Tensor:
    """Smooth L1 + 1 - cosine of two contents (B, T / 2, z_dim)."""
    return F.smooth_l1_loss(z, wanted, beta=0.3) + 1 - F.cosine_similarity(z, wanted, dim=-1).mean()


def compute_reconstruction_loss(kind: str, before: Tensor, after: Tensor, mel: Tensor) -> Tensor:
    """`mse_l1`: the paper's, before and after the postnet; `l1_delta`: L1 + 0.5 L1 of differences over time."""
    if kind == "mse_l1":
        return compute_reconstruction(before, after, mel)
    return F.l1_loss(after, mel) + 0.5 * F.l1_loss(after.diff(dim=1), mel.diff(dim=1))
