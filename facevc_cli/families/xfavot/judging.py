"""What the judges learn in a step, each in one module, so that several devices can share it."""

import torch
from torch import Tensor, nn

from facevc_cli.families.xfavot.networks.pitch import PitchReader
from facevc_cli.families.xfavot.networks.readers import DomainReader, select_domain
from facevc_cli.families.xfavot.terms import (
    compute_domain_loss,
    compute_judge_loss,
    compute_pitch_loss,
    compute_smoothness,
)


class Judging(nn.Module):
    def __init__(self, network: DomainReader):
        super().__init__()
        self.network = network

    def forward(self, real: Tensor, fake: Tensor, source: Tensor, target: Tensor, smooths: bool) -> dict[str, Tensor]:
        """Returns the loss `judge` of sources and conversions in their domains, and with `smooths` the `smoothness`."""
        found = self.network(torch.cat([real, fake]))
        logits = select_domain(found, torch.cat([source, target]))
        out = {"judge": compute_judge_loss(*logits.split(len(real)))}
        if smooths:
            with torch.autocast(real.device.type, enabled=False):  # second derivatives need single precision
                inputs = real.float().detach().requires_grad_(True)
                out["smoothness"] = compute_smoothness(select_domain(self.network(inputs), source), inputs)
        return out


class SourceReading(nn.Module):
    def __init__(self, network: DomainReader):
        super().__init__()
        self.network = network

    def forward(self, fake: Tensor, source: Tensor) -> Tensor:
        """Returns the loss of hearing the source in a conversion."""
        return compute_domain_loss(self.network(fake), source)


class PitchReading(nn.Module):
    def __init__(self, network: PitchReader):
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, log_f0: Tensor) -> Tensor:
        """log_f0: (B, T) in ln Hz, 0 in unvoiced frames."""
        return compute_pitch_loss(self.network(mel), log_f0, (log_f0 != 0).float())
