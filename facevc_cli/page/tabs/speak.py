"""The tab "Speak": a text and a face in, the text in the face's voice out."""

from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.page import views
from facevc_cli.page.fields import (
    add_examples,
    add_person_field,
    add_result,
    add_voice_sliders,
    render_made,
    watch_person,
)
from facevc_cli.page.tabs.tab import (
    ALONE,
    DOWNLOAD,
    NOTICE,
    PageContext,
    make_toast,
    read_page_id,
    register_tab,
)
from facevc_cli.page.text_speech import VOICE, WHO, SpokenResult, TextSpeech
from facevc_cli.speaking.narrator import list_left_out
from facevc_cli.synthesis.synthesiser import FASTEST, SLOWEST

LANGUAGES = {"American English": "en-us", "British English": "en-gb", "Spanish": "es"}
EXAMPLES = {  # text, and photos
    "A greeting, a woman's face": ("Hi, the weather is nice today.", [Path("face_woman.jpg")]),
    "Times and prices, a man's face": (
        "The train to Oxford leaves at 3:45 pm. A ticket costs $12.50.",
        [Path("face_man.jpg")],
    ),
    "A story, an astronaut's face": (
        "The sun went down.\n\nShe looked at the stars, and counted: one, two, three, thousands.",
        [Path("face_astronaut.jpg")],
    ),
}
SYNTHESIS_SHARE = 0.7  # of the time, for the progress bar


@register_tab("Speak", 20)
def build(context: PageContext) -> None:
    """Adds the fields and buttons, or one line if the engine is not installed."""
    import gradio as gr

    studio, speech = context.studio, TextSpeech(context.studio)
    if not speech.is_usable:
        gr.Markdown(
            f"To type a text and hear it in the voice of a face, install the speech engine: "
            f"`{install_command('speak')[1:-1]}`. Then start `facevc serve` again.",
            elem_id="speak-missing",
        )
        return

    def speak(
        text: str,
        language: str,
        speed: float,
        register: float,
        age: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # Gradio finds it by this default
    ) -> tuple[str, str, str]:
        try:
            made = speech.speak(
                read_page_id(request), text, register, age, speed, LANGUAGES[language], make_reporter(progress)
            )
        except FaceVCError as error:
            raise make_toast(error) from error
        return str(made.path), views.render_spoken(made.text, made.faces), render_result(made)

    def keep(register: float, age: float, request: gr.Request) -> str:
        try:
            return str(studio.make_card(read_page_id(request), 0.0, register, age, VOICE))
        except FaceVCError as error:
            raise make_toast(error) from error

    with gr.Row():
        with gr.Column():
            text = gr.Textbox(
                label="1. Text",
                placeholder="Hi, the weather is nice today.",
                info=f"At most {speech.most_characters} characters and {studio.max_seconds:g} s of speech.",
                lines=7,
                max_lines=14,
                max_length=speech.most_characters,
                elem_id="text",
            )
            language = gr.Radio(list(LANGUAGES), value=next(iter(LANGUAGES)), label="Language", elem_id="language")
            speed = gr.Slider(SLOWEST, FASTEST, 1, step=0.05, label="Speed: 1 is natural", elem_id="speed")
        with gr.Column():
            person = add_person_field(WHO, "2. Face: photos or a voice card")
    add_examples(studio, "speak-example", EXAMPLES, [text, person.files], [person.camera])
    sliders = add_voice_sliders("speak-")
    gr.Markdown(NOTICE, elem_id="speak-notice")
    with gr.Row():
        press = gr.Button("Speak", variant="primary", scale=3, elem_id="speak")
        wish = gr.Button("Keep this voice as a card", elem_id="speak-keep")
    card = gr.File(visible=False)
    spoken = gr.HTML(elem_id="spoken")
    result = add_result("speak-")
    told = gr.HTML(
        views.render_note(f"Model: {context.model}. Engine: {speech.narrator.engine.name}."), elem_id="speak-told"
    )

    watch_person(studio, WHO, person, sliders, VOICE)
    asked: list[Any] = [text, language, speed, sliders.register, sliders.age]
    press.click(speak, asked, [result, spoken, told], show_progress_on=result, **ALONE)
    wish.click(keep, [sliders.register, sliders.age], card, show_progress_on=wish, **ALONE).success(
        None, card, js=DOWNLOAD, api_visibility="private"
    )


def make_reporter(progress: Callable[..., Any]) -> Callable[[int, int], None]:
    """Makes what the studio's thread may call: Gradio knows whose progress it is only in the context of this call."""
    context = copy_context()

    def report(done: int, count: int) -> None:
        if done < count:
            said = f"Synthesising sentence {done + 1} of {count}"
        else:
            said = "Converting to the voice of the face"
        context.run(progress, SYNTHESIS_SHARE * done / count, desc=said)

    return report


def render_result(made: SpokenResult) -> str:
    """Says in HTML what was made, and what was left out."""
    told = render_made(made.seconds, made.took_s)
    if not made.left_out:
        return told
    return told + views.render_failure(f"Not said, because the engine cannot say it: {list_left_out(made.left_out)}.")
