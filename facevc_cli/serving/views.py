"""Pieces of HTML for the page. Pictures lie in them as data, so that showing one leaves no file behind."""

import base64
import io
from html import escape

import numpy as np
from PIL import Image, ImageDraw

from facevc_cli.features.face import FaceObservation

SHOWN_PX = 320  # the longer side of the photograph with its box
BOX_COLOUR = "#22c55e"
CSS = """
.facevc-note { color: var(--body-text-color); opacity: .75; font-size: var(--text-sm); margin-top: .25rem; }
.facevc-error { border-left: 3px solid var(--error-border-color, #ef4444); color: var(--error-text-color, #b91c1c);
  background: var(--error-background-fill, #fef2f2); padding: .5rem .75rem; overflow-wrap: anywhere; }
.facevc-face { display: flex; gap: .75rem; align-items: flex-end; margin: 0; }
.facevc-face img { display: block; max-height: 150px; border-radius: 4px; min-width: 0; }
.facevc-face .photo { max-width: 60%; object-fit: contain; }
.facevc-face .crop { max-width: 35%; }
"""


def note(text: str) -> str:
    return f'<div class="facevc-note">{escape(text)}</div>'


def failure(text: str) -> str:
    return f'<div class="facevc-error" role="alert">{escape(text)}</div>'


def face(image: np.ndarray, found: FaceObservation) -> str:
    """(H, W, 3) uint8 and what was found in it -> the photograph with its box, beside it the crop that the network saw."""
    taken = f"The face that was taken is {found.box[2] - found.box[0]:.0f} px wide"
    said = f"{taken}." if found.faces == 1 else f"{taken}: the largest of {found.faces}."
    photo, crop = _data_url(_boxed(image, found.box)), _data_url(Image.fromarray(found.crop))
    boxed = f'<img class="photo" src="{photo}" alt="The photo with a box around the face">'
    cut = f'<img class="crop" src="{crop}" alt="The face as the model sees it">'
    return f'<figure class="facevc-face">{boxed}{cut}</figure>{note(said)}'


def _boxed(image: np.ndarray, box: np.ndarray) -> Image.Image:
    scale = min(1.0, SHOWN_PX / max(image.shape[:2]))
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    shown = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    ImageDraw.Draw(shown).rectangle([float(v) * scale for v in box], outline=BOX_COLOUR, width=3)
    return shown


def _data_url(picture: Image.Image) -> str:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
