"""The training of this family: places faces and voices, with the three terms of CMPC."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.crops import Batch
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.cmpc.config import Config, TrainConfig
from facevc_cli.families.cmpc.items import Items
from facevc_cli.families.cmpc.model import Encoder, FaceVoiceEncoders, build_model, check_networks
from facevc_cli.families.cmpc.pairs import Pairs, read_pairs
from facevc_cli.families.cmpc.prototypes import PrototypeBank
from facevc_cli.families.cmpc.terms import InstanceTerm, InstanceWeights, PlacedPairs, PrototypeTerm
from facevc_cli.training.task import Figures, compute_learning_rate, make_generator, set_learning_rate

if TYPE_CHECKING:
    from accelerate import Accelerator

NOISE_SALT, CLUSTER_SALT = 0, 7  # for the step's generator; processes draw their noise with salts from 0 to 6
PLACED_AT_ONCE = 256


class PairTraining:
    """Trains the two encoders on a store of faces and a store of voices."""

    frontend = None

    def __init__(self, request: TrainingRequest):
        if request.init is not None:
            raise UsageError(
                f"preset {request.config.name!r} trains from the beginning. Leave --init {request.init_path} out."
            )
        check_networks(request.config.model, "the settings")
        self.request, self.run = request, request.config.train
        inputs = read_pairs(request)
        self.training, self.validation = inputs.training, inputs.validation

    def make_task(self, resume: bool) -> "PairTask":
        pairs = self.training.pairs
        model = build_model(self.request.config.model, "the settings")
        for encoder, items in ((model.face, pairs.faces), (model.voice, pairs.voices)):
            statistics = items.measure()
            if statistics is not None:
                encoder.set_statistics(*statistics)
        return PairTask(model, self.request.config, self.request.seed, pairs, resume)


class PlacePairs(nn.Module):
    """Places a batch that is varied at random. One module, so that several devices can share it."""

    def __init__(self, model: FaceVoiceEncoders, train: TrainConfig):
        super().__init__()
        self.model, self.train_config = model, train
        self.drawn = make_generator(0, 0)  # draws what is varied, noise and dropout; replaced in every step

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the places of the faces and of the voices, (B, D) each."""
        face = self._place(self.model.face, batch["face"], self.train_config.face_noise)
        return face, self._place(self.model.voice, batch["voice"], self.train_config.voice_noise)

    def _place(self, encoder: Encoder, given: Tensor, deviation: float) -> Tensor:
        if not self.training:
            return encoder(given)
        varied = encoder.vary(given, self.drawn, self.train_config)
        noise = deviation * torch.randn((len(given), encoder.hidden.in_features), generator=self.drawn)
        kept = 1 - self.train_config.dropout
        drawn = torch.rand((len(given), encoder.hidden.out_features), generator=self.drawn)
        return encoder(varied, noise.to(varied), ((drawn < kept) / kept).to(varied))


class PairTask:
    def __init__(self, model: FaceVoiceEncoders, config: Config, seed: int, pairs: Pairs, resume: bool = False):
        """pairs: all training items, for the memory banks. resume: the banks will be loaded."""
        self.pairs, self.resume = pairs, resume
        self.model, self.t, self.seed = model, config.train, seed
        t = self.t
        if not t.instance > 0 and not t.prototype > 0:
            raise FaceVCError(
                "every weight of the training loss is 0 (train.instance, train.prototype). Set at least one above 0."
            )
        if not t.instance > 0 and t.cluster_from > 0:
            raise FaceVCError(
                f"train.instance is 0, so nothing trains before the first clustering at step {t.cluster_from}. Set "
                "train.cluster_from=0."
            )
        banks = {
            name: PrototypeBank(torch.zeros(len(items), config.model.space_dim), t.clusters, t.temperature)
            for name, items in (("faces", pairs.faces), ("voices", pairs.voices))
        }
        self.banks = banks
        self.auxiliary = nn.ModuleDict({"placing": PlacePairs(model, t), **banks})
        self.instance = InstanceTerm(t.temperature)
        self.prototype = PrototypeTerm(banks["faces"], banks["voices"])
        self.weights = InstanceWeights(banks["faces"], banks["voices"], t.instance_weights)
        o = t.optimiser
        self.optimisers: dict[str, Optimizer] = {
            "model": AdamW(model.parameters(), o.learning_rate, o.betas, weight_decay=o.weight_decay)
        }

    def prepare(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self.model.to(accelerator.device)
        for bank in self.banks.values():
            bank.to(accelerator.device)
        if not self.resume:
            self._fill_banks()
        self.auxiliary["placing"] = accelerator.prepare(self.auxiliary["placing"])
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}

    @torch.no_grad()
    def _fill_banks(self) -> None:
        """Places all items as the model places them before training."""
        from accelerate.utils import broadcast  # converting and ranking do without this package

        self.model.eval()
        for bank, encoder, items in (
            (self.banks["faces"], self.model.face, self.pairs.faces),
            (self.banks["voices"], self.model.voice, self.pairs.voices),
        ):
            bank.places.copy_(_place_all(encoder, items, self.accelerator.device))
            broadcast(bank.places)  # so that all processes cluster the same places
        self.model.train()

    def step(self, batch: Batch, step: int) -> Figures:
        t, o = self.t, self.t.optimiser
        set_learning_rate(self.optimisers["model"], compute_learning_rate(o, step, t.steps))
        self._cluster_if_due(step)
        salt = NOISE_SALT + self.accelerator.process_index % CLUSTER_SALT
        self.accelerator.unwrap_model(self.auxiliary["placing"]).drawn = make_generator(self.seed, step, salt)
        pairs = self._place(batch)
        loss, figures = self._compute_loss(pairs)
        self.optimisers["model"].zero_grad()
        self.accelerator.backward(loss)
        if o.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), o.gradient_clip)
        self.optimisers["model"].step()
        self._update_banks(pairs)
        return {"loss": loss.detach(), **figures}

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        """Returns the instance term, and the share of right choices between two. The banks hold no such items."""
        pairs = self._place(batch)
        loss = self.instance.compute(pairs).mean()
        return {"loss": loss, "matching": measure_matching(pairs)}

    def _place(self, batch: Batch) -> PlacedPairs:
        face, voice = self.auxiliary["placing"](batch)
        return PlacedPairs(face.float(), voice.float(), batch["person"], batch["face_item"], batch["voice_item"])

    def _compute_loss(self, pairs: PlacedPairs) -> tuple[Tensor, Figures]:
        """Returns the weighted sum of the terms, and the unweighted terms."""
        clustered = self.banks["faces"].is_clustered
        instance = self.instance.compute(pairs)
        figures = {"instance": instance.mean().detach(), "matching": measure_matching(pairs)}
        if clustered and self.t.instance_weights > 0:
            instance = instance * self.weights.compute(pairs)
        loss = self.t.instance * instance.mean()
        if clustered and self.t.prototype > 0:
            prototype = self.prototype.compute(pairs).mean()
            figures["prototype"] = prototype.detach()
            loss = loss + self.t.prototype * prototype
        return loss, figures

    def _cluster_if_due(self, step: int) -> None:
        t = self.t
        since = step - t.cluster_from
        if max(t.prototype, t.instance_weights) > 0 and since >= 0 and since % t.cluster_every == 0:
            for bank in self.banks.values():
                bank.cluster(make_generator(self.seed, step, CLUSTER_SALT))

    def _update_banks(self, pairs: PlacedPairs) -> None:
        """Adds the places of all processes, so that their banks stay the same."""
        for name, item, place in (("faces", pairs.face_item, pairs.face), ("voices", pairs.voice_item, pairs.voice)):
            items, places = self.accelerator.gather((item, place.detach()))
            self.banks[name].update(items, places, self.t.bank_momentum)


@torch.no_grad()
def measure_matching(pairs: PlacedPairs) -> Tensor:
    """Returns the share of right choices between a pair's own partner and another person's, in both directions.

    A tie is half right. Without two people it is 1/2.
    """
    cosines = pairs.face @ pairs.voice.T
    others = pairs.person[:, None] != pairs.person[None]
    own = cosines.diagonal()
    right = [
        (difference > 0).float() + (difference == 0).float() / 2
        for difference in (own[:, None] - cosines, own[None] - cosines)
    ]
    count = others.sum()
    return torch.where(
        count > 0, sum(r[others].sum() for r in right) / (2 * count.clamp(min=1)), cosines.new_tensor(0.5)
    )


def _place_all(encoder: Encoder, items: Items, device: torch.device) -> Tensor:
    """Places the middle example of each item: (items, D)."""
    blocks = [np.arange(len(items))[i : i + PLACED_AT_ONCE] for i in range(0, len(items), PLACED_AT_ONCE)]
    return torch.cat([encoder(items.read_middle(block).to(device)).float() for block in blocks])
