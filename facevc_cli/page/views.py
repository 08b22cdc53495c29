"""Pieces of HTML for the page. Pictures are embedded as data, so that showing one leaves no file behind."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image, ImageDraw

SHOWN_PX = 320  # the longer side of the photograph with its box
BEFORE_PX = 1024  # the longer side of a photo beside its restyled copy
BOX_COLOUR = "#22c55e"
CSS = """
@media (max-width: 480px) { .tab-container button { padding: 0 .45rem !important; } } /* a phone shows all tabs */
.facevc-note { color: var(--body-text-color); opacity: .75; font-size: var(--text-sm); margin-top: .25rem; }
.facevc-error { border-left: 3px solid var(--error-border-color, #ef4444); color: var(--error-text-color, #b91c1c);
  background: var(--error-background-fill, #fef2f2); padding: .5rem .75rem;
  margin-top: .25rem; overflow-wrap: anywhere; }
.facevc-face { display: flex; gap: .75rem; align-items: flex-end; margin: 0; }
.facevc-face img { display: block; max-height: 150px; border-radius: 4px; min-width: 0; }
.facevc-face .photo { max-width: 60%; object-fit: contain; }
.facevc-face .crop { max-width: 35%; }
.facevc-before { margin: 0; text-align: center; } .facevc-before img { max-width: 100%; margin: 0 auto; }
.facevc-given td.download { display: none; } /* a link to what is deleted after use */
.facevc-faces { display: flex; flex-wrap: wrap; gap: .75rem; }
.facevc-faces.several .facevc-face { gap: .25rem; }
.facevc-spoken { display: flex; gap: .75rem; align-items: flex-start; margin: 0; }
.facevc-spoken img { max-height: 96px; border-radius: 4px; }
.facevc-spoken blockquote { margin: 0; overflow-wrap: anywhere; max-height: 12em; overflow-y: auto; }
.facevc-examples { align-items: center; gap: .5rem; flex-wrap: wrap; }
.facevc-examples .html-container { padding: 0; }
.facevc-examples > * { flex: 0 0 auto !important; width: auto !important; }
.facevc-faces.several img { max-height: 72px; max-width: none; }
"""


def render_note(text: str) -> str:
    return f'<div class="facevc-note">{escape(text)}</div>'


def render_failure(text: str) -> str:
    return f'<div class="facevc-error" role="alert">{escape(text)}</div>'


def render_photos(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Show each photo with its box, and beside it the crop that the network sees. Several are shown small."""
    kinds = (("photo", "The photo with a box around the face"), ("crop", "The face as the model sees it"))
    drawn = []
    for pictures in found:
        shown = zip(kinds, pictures, strict=True)
        images = "".join(
            f'<img class="{kind}" src="{_make_data_url(Image.fromarray(picture))}" alt="{said}">'
            for (kind, said), picture in shown
        )
        drawn.append(f'<figure class="facevc-face">{images}</figure>')
    return f'<div class="facevc-faces{" several" if len(drawn) > 1 else ""}">{"".join(drawn)}</div>'


def render_spoken(text: str, faces: Sequence[np.ndarray]) -> str:
    """Show a text that was spoken, beside the face that it was spoken for: the first of several."""
    image = f'<img src="{_make_data_url(Image.fromarray(faces[0]))}" alt="The face">' if len(faces) else ""
    return f'<figure class="facevc-spoken">{image}<blockquote>{escape(text)}</blockquote></figure>'


def render_before(photo: np.ndarray) -> str:
    """Show a photo (H, W, 3) uint8 as it was, at most 1024 px on its longer side."""
    shown = Image.fromarray(photo)
    shown.thumbnail((BEFORE_PX, BEFORE_PX))
    image = f'<img src="{_make_data_url(shown)}" alt="The photo before">'
    return f'<figure class="facevc-before">{image}<figcaption>Before</figcaption></figure>'


def draw_box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Draw a box into a picture.

    image: (H, W, 3) uint8; box: in its pixels. The result is at most 320 px on its longer side.
    """
    scale = min(1.0, SHOWN_PX / max(image.shape[:2]))
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    shown = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    ImageDraw.Draw(shown).rectangle([float(v) * scale for v in box], outline=BOX_COLOUR, width=3)
    return np.asarray(shown)


def _make_data_url(picture: Image.Image) -> str:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
