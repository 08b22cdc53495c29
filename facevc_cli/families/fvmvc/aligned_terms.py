"""Loss terms on aligned utterances, which say the same words at the same moments in different voices.

Inter-speaker supervision with real answers: content heard in one voice is asked for in another, and that voice's own
utterance says frame by frame what is right.
"""

from torch import Tensor

from facevc_cli.corpus.crops import Batch
from facevc_cli.families.fvmvc import losses
from facevc_cli.families.fvmvc.config import PretrainConfig


def compute_aligned_terms(
    settings: PretrainConfig, batch: Batch, out: dict[str, Tensor]
) -> dict[str, tuple[float, Tensor]]:
    """Returns the terms by name: (weight, value). Empty if no utterance of the batch has a partner.

    batch: `aligned` (B,) is 0 for utterances without a partner; `aligned_mel` (B, T, n_mels) is the partner's. out: `z`
    holds the contents. For the A utterances that have a partner, `aligned` (A, T, n_mels) is spoken in its voice, and
    `aligned_z` is its content.
    """
    terms: dict[str, tuple[float, Tensor]] = {}
    if "aligned" not in batch or not (chosen := batch["aligned"] > 0).any():
        return terms
    if settings.aligned_voice > 0:
        made, wanted = out["aligned"], batch["aligned_mel"][chosen]
        error = losses.compute_reconstruction_loss(settings.reconstruction, made, made, wanted)
        terms["aligned_voice"] = (settings.aligned_voice, error)
    if settings.aligned_content > 0:
        distance = losses.compute_content_distance(out["z"][chosen], out["aligned_z"])
        terms["aligned_content"] = (settings.aligned_content, distance)
    return terms
