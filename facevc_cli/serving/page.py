"""The page itself, in Gradio: fields, the button, and what each calls in the studio."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from facevc_cli.errors import FaceVCError
from facevc_cli.features.pitch import PitchRule
from facevc_cli.serving import views
from facevc_cli.serving.studio import FIRST, SECOND, Studio, Upload

KEPT_S = 15 * 60  # an upload that was never used, and a result
SWEPT_EVERY_S = 60
WAITING = 20  # calls in the queue; more are told to come back
SEMITONES = 12
PITCHES = {"The voice's own": "auto", "As in the recording": "keep", "The voice's own, shifted": "shift"}
# Off, whatever the version has them on: what would write elsewhere or speak to another host.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "GRADIO_SSR_MODE": "False", "GRADIO_MCP_SERVER": "False",
    "GRADIO_SHARE": "False", "HF_HUB_DISABLE_TELEMETRY": "1",
}  # fmt: skip
INTRODUCTION = """# facevc
Speech in, a face in: the same words in the voice that fits the face."""
NOTICE = """Use recordings and photos of yourself, or of people who have agreed to it. **The result is synthetic speech**: its file says so, say so too.
What you give stays on the machine that runs this page; it is deleted after the conversion, or when you leave."""


def prepare(folder: Path) -> None:
    """Settles what Gradio reads from the environment, before it is imported. FaceVCError where it is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise FaceVCError(
            "facevc serve needs the package gradio, which is not installed. Install it with 'pip install \"facevc[demo]\"'; "
            "no other command needs it."
        )
    os.environ.update(QUIET, GRADIO_TEMP_DIR=str(folder))


def build(studio: Studio, model: str) -> Any:
    """The gradio.Blocks of a studio."""
    import gradio as gr

    def hear(upload: Upload, request: gr.Request) -> str:
        try:
            speech = studio.hear(_page(request), upload)
        except FaceVCError as error:
            return views.failure(str(error))
        return views.note(f"{speech.seconds:.1f} s of sound.") if speech else ""

    def looking(who: int) -> Any:
        def look(upload: Upload, request: gr.Request) -> str:
            try:
                seen = studio.look(_page(request), who, upload)
            except FaceVCError as error:
                return views.failure(str(error))
            return views.face(seen[0], seen[1].face) if seen else ""

        return look

    def convert(percent: float, pitch: str, semitones: float, request: gr.Request) -> tuple[str, str]:
        try:
            rule = PitchRule.parse(f"{semitones:+g}" if PITCHES[pitch] == "shift" else PITCHES[pitch])
            made = studio.convert(_page(request), percent / 100, rule)
        except FaceVCError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error
        return str(made.path), views.note(f"{made.seconds:.1f} s of synthetic speech, made in {made.took_s:.1f} s. Kept here for {KEPT_S // 60} minutes.")

    def leave(request: gr.Request) -> None:
        studio.leave(_page(request))

    with gr.Blocks(title="facevc", analytics_enabled=False, delete_cache=(SWEPT_EVERY_S, KEPT_S)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column():
                speech = gr.Audio(label="1. Speech", sources=["upload", "microphone"], type="filepath", buttons=["download"], elem_id="speech")
                heard = gr.HTML(elem_id="heard")
            photos, seen = [], []
            for who, label in ((FIRST, "2. Face"), (SECOND, "A second face to mix in (optional)")):
                with gr.Column():
                    photos.append(gr.Image(label=label, sources=["upload", "webcam"], type="filepath", image_mode=None, height=280, elem_id=f"face-{who}"))
                    seen.append(gr.HTML(elem_id=f"seen-{who}"))
                    if who == SECOND:
                        share = gr.Slider(0, 100, 50, step=5, label="Share of this person, %", visible=False, elem_id="share")
        pitch = gr.Radio(list(PITCHES), value=next(iter(PITCHES)), label="Pitch", visible=studio.pitched, elem_id="pitch")
        semitones = gr.Slider(-SEMITONES, SEMITONES, 0, step=1, label="Semitones", visible=False, elem_id="semitones")
        gr.Markdown(NOTICE, elem_id="notice")
        press = gr.Button("Convert", variant="primary", elem_id="convert")
        result = gr.Audio(label="Result (synthetic speech)", type="filepath", interactive=False, buttons=["download"], elem_id="result")
        told = gr.HTML(views.note(f"Model: {model}."), elem_id="told")

        # one at a time, for all share one model; raw uploads, so that our own readers judge them and name what is wrong
        alone: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
        speech.change(hear, speech, heard, preprocess=False, show_progress="minimal", **alone)
        for who, (photo, view) in enumerate(zip(photos, seen, strict=True)):
            photo.change(looking(who), photo, view, preprocess=False, show_progress="minimal", **alone)
        press.click(convert, [share, pitch, semitones], [result, told], show_progress_on=result, **alone)
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        photos[SECOND].change(lambda upload: gr.update(visible=upload is not None), photos[SECOND], share, preprocess=False, **at_once)
        pitch.change(lambda chosen: gr.update(visible=PITCHES[chosen] == "shift"), pitch, semitones, **at_once)
        page.unload(leave)
    page.queue(max_size=WAITING, api_open=False)
    return page


def _page(request: Any) -> str:
    """The open page that a call comes from."""
    return str(request.session_hash)
