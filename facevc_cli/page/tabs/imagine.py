"""The tab "Imagine": a voice in, faces that fit it out, and what they answer."""

from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.imagining.sheet import SENTENCE
from facevc_cli.page import views
from facevc_cli.page.fields import (
    add_examples,
    add_recording_field,
    add_result,
    render_made,
    tell_heard,
    watch_recording,
)
from facevc_cli.page.imagined_faces import MOST_FACES, DrawnFaces, ImaginedFaces
from facevc_cli.page.tabs.tab import ALONE, KEPT_S, NOTICE, PageContext, make_toast, read_page_id, register_tab

EXAMPLES = {"A woman's voice": (Path("speech_woman.flac"),), "A man's voice": (Path("speech_man.flac"),)}
MOST_SEED = 2**31 - 1


@register_tab("Imagine", 30)
def build(context: PageContext) -> None:
    """Adds the fields and buttons."""
    import gradio as gr

    studio, faces = context.studio, ImaginedFaces(context.studio)

    def imagine(count: float, seed: float, request: gr.Request) -> tuple[str, str, object, int]:
        try:
            drawn = faces.imagine(read_page_id(request), round(count), round(seed))
        except FaceVCError as error:
            raise make_toast(error) from error
        choices = [f"Face {number}" for number in range(1, drawn.count + 1)]
        shown = gr.update(choices=choices, value=choices[0], visible=True)
        return str(drawn.path), render_drawn(drawn), shown, (round(seed) + 1) % MOST_SEED

    def answer(chosen: str | None, request: gr.Request) -> tuple[str, str]:
        try:
            made = faces.answer(read_page_id(request), int((chosen or "Face 1").rpartition(" ")[2]))
        except FaceVCError as error:
            raise make_toast(error) from error
        return str(made.path), render_made(made.seconds, made.took_s)

    with gr.Row():
        with gr.Column():
            voice = add_recording_field("1. A voice", "imagine-voice", "imagine-heard")
        with gr.Column():
            count = gr.Slider(1, MOST_FACES, 3, step=1, label="Number of faces", elem_id="imagine-count")
            seed = gr.State(0)
            press = gr.Button("Imagine", variant="primary", elem_id="imagine")
            told = gr.HTML(views.render_note(SENTENCE), elem_id="imagine-told")
    sheet = gr.Image(
        label="Faces (synthetic)",
        show_label=False,  # it would cover the title
        type="filepath",
        interactive=False,
        buttons=["download"],
        render=False,  # the examples are above it, and empty it
        elem_id="imagine-sheet",
    )
    add_examples(studio, "imagine-example", EXAMPLES, [voice.sound], [sheet])
    sheet.render()
    with gr.Row():
        chosen = gr.Radio([], label="2. Hear one say the same words", visible=False, elem_id="imagine-chosen")
        speak = gr.Button("Let it answer", elem_id="imagine-answer")
    result = add_result("imagine-")
    spoken = gr.HTML(elem_id="imagine-spoken")
    gr.Markdown(NOTICE, elem_id="imagine-notice")

    watch_recording(voice, faces.hear)
    press.click(imagine, [count, seed], [sheet, told, chosen, seed], show_progress_on=sheet, **ALONE)
    speak.click(answer, chosen, [result, spoken], show_progress_on=result, **ALONE)


def render_drawn(drawn: DrawnFaces) -> str:
    """Says in HTML what was heard in the voice, and what the faces are."""
    return views.render_note(
        f"{tell_heard(drawn.feminine, drawn.age_years)} {SENTENCE} Made in {drawn.took_s:.1f} s. Kept here for "
        f"{KEPT_S // 60} minutes. Press Imagine again for others."
    )
