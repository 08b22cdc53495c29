"""The tab "Live": speak into the microphone, and hear yourself in the voice of a face."""

from importlib.resources import files
from importlib.util import find_spec

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.page import views
from facevc_cli.page.fields import add_person_field, add_voice_sliders, watch_person
from facevc_cli.page.live_socket import PATH, LiveSocket
from facevc_cli.page.live_speech import MOST_CALLS, VOICE, WHO, LiveSpeech
from facevc_cli.page.tabs.tab import ALONE, NOTICE, PageContext, make_toast, read_page_id, register_tab

STOP = "() => window.facevcLive?.stop()"
HEADPHONES = f"""Use headphones. What you say is not kept. At most {MOST_CALLS} people speak at once.
The first start measures the speed of this computer, which takes some seconds."""


@register_tab("Live", 30)
def build(context: PageContext) -> None:
    """Adds the fields and buttons, or one line if web sockets are not installed."""
    import gradio as gr

    if find_spec("websockets") is None:
        gr.Markdown(
            f"To hear yourself in the voice of a face while you speak, install: `{install_command('page')[1:-1]}`. "
            "Then start `facevc serve` again.",
            elem_id="live-missing",
        )
        return
    studio = context.studio
    live = LiveSpeech(studio)
    context.sockets[PATH] = LiveSocket(live)

    def begin(register: float, age: float, request: gr.Request) -> str:
        try:
            return live.begin(read_page_id(request), register, age)
        except FaceVCError as error:
            raise make_toast(error) from error

    person = add_person_field(WHO, "Face: photos or a voice card")
    sliders = add_voice_sliders("live-")
    gr.Markdown(NOTICE, elem_id="live-notice")
    gr.Markdown(HEADPHONES)
    with gr.Row():
        start = gr.Button("Start", variant="primary", scale=3, elem_id="live-start")
        stop = gr.Button("Stop", elem_id="live-stop")
    ticket = gr.Textbox(visible=False)
    told = gr.HTML(views.render_note(f"Model: {context.model}."), elem_id="live-told")

    watch_person(studio, WHO, person, sliders, VOICE)
    script = files("facevc_cli").joinpath("assets/page/live.js").read_text(encoding="utf-8")
    start.click(begin, [sliders.register, sliders.age], ticket, show_progress_on=told, **ALONE).success(
        None, ticket, js=script, api_visibility="private"
    )
    stop.click(None, js=STOP, api_visibility="private")
