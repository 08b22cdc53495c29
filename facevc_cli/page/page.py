"""The page itself, in Gradio: fields and buttons, and which method of the studio each calls."""

import importlib.util
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.conversion.traits import OLDEST, YOUNGEST, FaceReading
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.page import views
from facevc_cli.page.people import Card, Person, Photo
from facevc_cli.page.studio import FIRST, MOST_PAGES, SECOND, Studio, Upload

KEPT_S = 15 * 60  # how long unused uploads and results are kept
SWEPT_EVERY_S = 60
WAITING = 20  # most calls in the queue; further ones are asked to come back
SEMITONES = 12
PITCHES = {"The voice's own": "auto", "As in the recording": "keep", "The voice's own, shifted": "shift"}
# Off, whatever Gradio's defaults are: these write elsewhere or contact another host.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
DOWNLOAD = (
    '(file) => { const link = document.createElement("a"); '
    "link.href = file.url; link.download = file.orig_name; link.click(); }"
)
INTRODUCTION = """# facevc
Speech in, a face in: the same words in the voice that fits the face."""
NOTICE = """Use recordings and photos of yourself, or of people who have agreed to it.
**The result is synthetic speech**: its file says so, say so too.
What you give stays on the machine that runs this page; it is deleted after the conversion, or when you leave."""


def prepare(folder: Path) -> None:
    """Set the environment that Gradio reads, before its import. FaceVCError if it is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise FaceVCError(
            "facevc serve needs the package gradio, which is not installed. Install it with "
            f"{install_command('page')}. No other command needs it."
        )
    os.environ.update(QUIET, GRADIO_TEMP_DIR=str(folder))


def build(studio: Studio, model: str) -> Any:
    """Build the gradio.Blocks of a studio."""
    import gradio as gr

    def hear(upload: Upload, request: gr.Request) -> str:
        try:
            speech = studio.hear(_read_page_id(request), upload)
        except FaceVCError as error:
            return views.render_failure(str(error))
        return views.render_note(f"{speech.seconds:.1f} s of sound.") if speech else ""

    def make_look_handler(who: int) -> Any:
        def look(files: list[Upload] | None, photo: Upload, request: gr.Request) -> str:
            try:
                person = studio.look(
                    _read_page_id(request), who, [upload for upload in (*(files or ()), photo) if upload]
                )
            except FaceVCError as error:
                return views.render_failure(str(error))
            return render_person(person) if person else ""

        return look

    def read(percent: float, request: gr.Request) -> tuple[Any, Any, str]:
        try:
            reading = studio.read(_read_page_id(request), percent / 100)
        except FaceVCError:  # said beside the face already
            reading = None
        if reading is None:
            return gr.update(visible=False), gr.update(visible=False), ""
        return (
            gr.update(visible=True, value=reading.slider_register),
            gr.update(visible=True, value=reading.slider_age),
            render_reading(reading),
        )

    def convert(
        percent: float, pitch: str, semitones: float, register: float, age: float, request: gr.Request
    ) -> tuple[str, str]:
        try:
            rule = PitchRule.parse(f"{semitones:+g}" if PITCHES[pitch] == "shift" else PITCHES[pitch])
            made = studio.convert(_read_page_id(request), percent / 100, rule, register, age)
        except FaceVCError as error:
            raise _make_toast(error) from error
        told = (
            f"{made.seconds:.1f} s of synthetic speech, made in {made.took_s:.1f} s. Kept here for {KEPT_S // 60} "
            "minutes."
        )
        return str(made.path), views.render_note(told)

    def keep(percent: float, register: float, age: float, request: gr.Request) -> str:
        try:
            return str(studio.make_card(_read_page_id(request), percent / 100, register, age))
        except FaceVCError as error:
            raise _make_toast(error) from error

    def leave(request: gr.Request) -> None:
        studio.leave(_read_page_id(request))

    with gr.Blocks(title="facevc", analytics_enabled=False, delete_cache=(SWEPT_EVERY_S, KEPT_S)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column():
                speech = gr.Audio(
                    label="1. Speech",
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=["download"],
                    elem_id="speech",
                )
                heard = gr.HTML(elem_id="heard")
            faces: list[tuple[Any, Any]] = []
            seen = []
            for who, label in ((FIRST, "2. Face: photos or a voice card"), (SECOND, "A second person (optional)")):
                with gr.Column():
                    files = gr.File(
                        label=label,
                        file_count="multiple",
                        file_types=["image", CARD_SUFFIX],
                        height=224,
                        elem_id=f"face-{who}",
                        elem_classes="facevc-given",
                    )
                    with gr.Accordion("Take a photo", open=False, elem_id=f"take-{who}"):
                        camera = gr.Image(
                            show_label=False,
                            sources=["webcam"],
                            type="filepath",
                            image_mode=None,
                            height=240,
                            elem_id=f"camera-{who}",
                        )
                    faces.append((files, camera))
                    seen.append(gr.HTML(elem_id=f"seen-{who}"))
                    if who == SECOND:
                        share = gr.Slider(
                            0, 100, 50, step=5, label="Share of this person, %", visible=False, elem_id="share"
                        )
        pitch = gr.Radio(
            list(PITCHES), value=next(iter(PITCHES)), label="Pitch", visible=studio.pitched, elem_id="pitch"
        )
        semitones = gr.Slider(-SEMITONES, SEMITONES, 0, step=1, label="Semitones", visible=False, elem_id="semitones")
        register = gr.Slider(
            0, 1, 0.5, step=0.05, label="Register: 0 masculine, 1 feminine", visible=False, elem_id="register"
        )
        age = gr.Slider(YOUNGEST, OLDEST, 40, step=1, label="Age of the voice, years", visible=False, elem_id="age")
        reading = gr.HTML(elem_id="reading")
        gr.Markdown(NOTICE, elem_id="notice")
        with gr.Row():
            press = gr.Button("Convert", variant="primary", scale=3, elem_id="convert")
            wish = gr.Button("Keep this voice as a card", elem_id="keep")
        card = gr.File(visible=False)
        result = gr.Audio(
            label="Result (synthetic speech)",
            type="filepath",
            interactive=False,
            buttons=["download"],
            elem_id="result",
        )
        told = gr.HTML(views.render_note(f"Model: {model}."), elem_id="told")

        # One call at a time, because all share one model. Uploads stay raw, so that our own readers check them and
        # report errors.
        alone: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
        speech.change(hear, speech, heard, preprocess=False, show_progress="minimal", **alone)
        for who, (given, view) in enumerate(zip(faces, seen, strict=True)):
            gr.on(
                [field.change for field in given],
                make_look_handler(who),
                given,
                view,
                preprocess=False,
                show_progress="minimal",
                **alone,
            ).then(read, share, [register, age, reading], show_progress="hidden", **alone)
        press.click(convert, [share, pitch, semitones, register, age], [result, told], show_progress_on=result, **alone)
        wish.click(keep, [share, register, age], card, show_progress_on=wish, **alone).success(
            None, card, js=DOWNLOAD, api_visibility="private"
        )
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        gr.on(
            [field.change for field in faces[SECOND]],
            lambda files, photo: gr.update(visible=bool(files or photo)),
            faces[SECOND],
            share,
            preprocess=False,
            **at_once,
        )
        pitch.change(lambda chosen: gr.update(visible=PITCHES[chosen] == "shift"), pitch, semitones, **at_once)
        page.unload(leave)
    page.queue(max_size=WAITING, api_open=False)
    page.state_session_capacity = MOST_PAGES
    return page


def render_person(person: Person) -> str:
    """Describe in HTML who was found."""
    if isinstance(card := person.files[0], Card):
        pitch = f", median pitch {card.pitch_hz:.0f} Hz" if card.pitch_hz else ""
        origin = " and ".join(str(part.get("file", "?")) for part in card.card.origin)
        return views.render_note(f"Voice card of {origin}, made on {card.card.made}{pitch}.")
    photos = [photo for photo in person.files if isinstance(photo, Photo)]
    left_out = "".join(views.render_failure(f"Left out: {reason}") for reason in person.left_out)
    shown = views.render_photos([(photo.shown, photo.face.crop) for photo in photos])
    return f"{shown}{views.render_note(_describe_photos(photos))}{left_out}"


def render_reading(reading: FaceReading) -> str:
    """Say in HTML what the face is read as, and what to do if that is wrong."""
    told = f"Read as a {reading.word} voice, certainty {reading.certainty:.2f}. Move a slider if it does not fit."
    return views.render_failure(told) if reading.is_doubtful else views.render_note(told)


def _describe_photos(photos: Sequence[Photo]) -> str:
    if len(photos) > 1:
        several = (
            " In some, the largest of several faces was taken." if any(photo.face.faces > 1 for photo in photos) else ""
        )
        return f"{len(photos)} photos, one voice: that of their mean face.{several}"
    found = photos[0].face
    taken = f"The face that was taken is {found.box[2] - found.box[0]:.0f} px wide"
    return f"{taken}." if found.faces == 1 else f"{taken}: the largest of {found.faces}."


def _make_toast(error: FaceVCError) -> Exception:
    import gradio as gr

    return gr.Error(escape(str(error)), duration=None, print_exception=False)  # Gradio shows it as HTML


def _read_page_id(request: Any) -> str:
    """The id of the open page that a call comes from."""
    return str(request.session_hash)
