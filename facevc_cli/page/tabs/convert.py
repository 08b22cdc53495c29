"""The tab "Convert": speech and a face in, the same words in the face's voice out."""

from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.page import views
from facevc_cli.page.fields import (
    add_examples,
    add_person_field,
    add_recording_field,
    add_result,
    add_voice_sliders,
    render_made,
    watch_person,
    watch_recording,
)
from facevc_cli.page.studio import FIRST, MIXED, SECOND
from facevc_cli.page.tabs.tab import (
    ALONE,
    AT_ONCE,
    DOWNLOAD,
    NOTICE,
    PageContext,
    make_toast,
    read_page_id,
    register_tab,
)

SEMITONES = 12
EXAMPLES = {  # speech, and photos
    "A man's speech, a woman's face": (Path("speech_man.flac"), [Path("face_woman.jpg")]),
    "A woman's speech, a man's face": (Path("speech_woman.flac"), [Path("face_man.jpg")]),
    "A woman's speech, an astronaut's face": (Path("speech_woman.flac"), [Path("face_astronaut.jpg")]),
}
PITCHES = {"The voice's own": "auto", "As in the recording": "keep", "The voice's own, shifted": "shift"}


@register_tab("Convert", 10)
def build(context: PageContext) -> None:
    """Adds the fields and buttons."""
    import gradio as gr

    studio = context.studio

    def convert(
        percent: float, pitch: str, semitones: float, register: float, age: float, request: gr.Request
    ) -> tuple[str, str]:
        try:
            rule = PitchRule.parse(f"{semitones:+g}" if PITCHES[pitch] == "shift" else PITCHES[pitch])
            made = studio.convert(read_page_id(request), percent / 100, rule, register, age)
        except FaceVCError as error:
            raise make_toast(error) from error
        return str(made.path), render_made(made.seconds, made.took_s)

    def keep(percent: float, register: float, age: float, request: gr.Request) -> str:
        try:
            return str(studio.make_card(read_page_id(request), percent / 100, register, age))
        except FaceVCError as error:
            raise make_toast(error) from error

    with gr.Row():
        with gr.Column():
            speech = add_recording_field("1. Speech", "speech", "heard")
        with gr.Column():
            first = add_person_field(FIRST, "2. Face: photos or a voice card")
        with gr.Column():
            second = add_person_field(SECOND, "A second person (optional)")
            share = gr.Slider(0, 100, 50, step=5, label="Share of this person, %", visible=False, elem_id="share")
    add_examples(
        studio,
        "example",
        EXAMPLES,
        [speech.sound, first.files],
        [first.camera, second.files, second.camera],
    )
    pitch = gr.Radio(list(PITCHES), value=next(iter(PITCHES)), label="Pitch", visible=studio.pitched, elem_id="pitch")
    semitones = gr.Slider(-SEMITONES, SEMITONES, 0, step=1, label="Semitones", visible=False, elem_id="semitones")
    sliders = add_voice_sliders()
    gr.Markdown(NOTICE, elem_id="notice")
    with gr.Row():
        press = gr.Button("Convert", variant="primary", scale=3, elem_id="convert")
        wish = gr.Button("Keep this voice as a card", elem_id="keep")
    card = gr.File(visible=False)
    result = add_result()
    told = gr.HTML(views.render_note(f"Model: {context.model}."), elem_id="told")

    watch_recording(speech, studio.hear)
    for who, field in ((FIRST, first), (SECOND, second)):
        watch_person(studio, who, field, sliders, MIXED, share)
    asked: list[Any] = [share, pitch, semitones, sliders.register, sliders.age]
    press.click(convert, asked, [result, told], show_progress_on=result, **ALONE)
    wish.click(keep, [share, sliders.register, sliders.age], card, show_progress_on=wish, **ALONE).success(
        None, card, js=DOWNLOAD, api_visibility="private"
    )
    gr.on(
        [second.files.change, second.camera.change],
        lambda files, photo: gr.update(visible=bool(files or photo)),
        [second.files, second.camera],
        share,
        preprocess=False,
        **AT_ONCE,
    )
    pitch.change(lambda chosen: gr.update(visible=PITCHES[chosen] == "shift"), pitch, semitones, **AT_ONCE)
