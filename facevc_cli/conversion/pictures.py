"""Lets a model that reads pictures itself read a face. What it makes of it takes the place of a face embedding."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from facevc_cli.families.base import Capability, ConversionModel, PictureModel

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceObservation


def reads_pictures(model: ConversionModel) -> bool:
    return Capability.PICTURES in model.capabilities


@torch.inference_mode()
def read_picture(
    model: ConversionModel, settings: Mapping[str, Any], image: np.ndarray, face: "FaceObservation", device: Any
) -> "FaceObservation":
    """Returns the face of an image (H, W, 3) as the model knows it; as it is, if the model reads no pictures.

    settings: of the store of faces that the model was trained on. They say how large its crops are.
    """
    if not reads_pictures(model):
        return face
    from facevc_cli.faces.analyser import cut_face

    crop = cut_face(image, face.box, face.turns, settings.get("crop_px", len(face.crop)))
    given = torch.from_numpy(np.ascontiguousarray(crop)).to(device)
    embedding = cast(PictureModel, model).embed_pictures(given[None])[0]
    return replace(face, embedding=embedding.float().cpu().numpy())
