"""One step's conversions in both modalities, in one module, so that several devices can share it."""

from enum import IntEnum

import torch
from torch import Tensor, nn

from facevc_cli.corpus.crops import Batch
from facevc_cli.families.xfavot.model import Modality, StyleModel
from facevc_cli.families.xfavot.terms import Made


class Guide(IntEnum):
    """Where a conversion's style comes from."""

    LATENT = 0  # noise
    OWN = 1  # a picture for pictures, a recording for speech
    OTHER = 2  # the other one, of the same person


SIDES = {"image": "audio", "audio": "image"}  # each modality, and the other


class Translations(nn.Module):
    def __init__(self, model: StyleModel):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the tensors of `Made` by name, such as image_fake, and the references' styles."""
        styles = self._read_references(batch, "reference")
        with torch.no_grad():
            seconds = self._read_references(batch, "second")
        out = {f"{side}_reference_style": style for side, style in styles.items()}
        for side, other in SIDES.items():
            domain = batch[f"{side}_domain"]
            drawn = self.model.mapping(batch["latent"], domain)
            style = choose_styles(batch["guide"], drawn, styles[side], styles[other])
            with torch.no_grad():
                drawn = self.model.mapping(batch["second_latent"], domain)
            second = choose_styles(batch["guide"], drawn, seconds[side], seconds[other])
            made = self._convert(getattr(self.model, side), side, batch, style, second)
            out |= {f"{side}_{name}": tensor for name, tensor in made.items()}
        return out

    def _read_references(self, batch: Batch, which: str) -> dict[str, Tensor]:
        return {
            side: getattr(self.model, side).style(batch[f"{which}_{side}"], batch[f"{side}_gender"]) for side in SIDES
        }

    def _convert(self, modality: Modality, side: str, batch: Batch, style: Tensor, second: Tensor) -> dict[str, Tensor]:
        real, generator = batch[side], modality.generator
        beside = (batch["lf0"],) if side == "audio" else ()
        content = generator.encode(real)
        fake = generator.decode(content, style, *beside)
        with torch.no_grad():
            other = generator.decode(content, second, *beside)
        own, guessed = modality.style.read(real, batch[f"{side}_source_gender"])
        return {
            "fake": fake,
            "other": other,
            "cycled": generator(fake, own, *beside),
            "style": style,
            "restyled": modality.style(fake, batch[f"{side}_gender"]),
            "guessed": guessed,
        }


def choose_styles(guide: Tensor, latent: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Returns for each of B conversions the style (style_dim,) that its guide says."""
    return torch.stack([latent, own, other], dim=1)[torch.arange(len(guide), device=guide.device), guide]


def gather_made(batch: Batch, out: dict[str, Tensor], side: str) -> Made:
    """Joins a batch and what `Translations` made of it."""
    names = ("fake", "other", "cycled", "style", "restyled", "guessed")
    return Made(
        real=batch[side],
        source=batch[f"{side}_source"],
        target=batch[f"{side}_target"],
        gender=batch[f"{side}_source_gender"],
        log_f0=batch["log_f0"] - batch["level"][:, :1] * (batch["lf0"] != 0) if side == "audio" else None,
        **{name: out[f"{side}_{name}"] for name in names},
    )
