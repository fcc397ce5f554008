"""The layout of the page, and the answers that its parts call."""

from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import gradio as gr

from lit_a1.data.decode import SUFFIXES_OF, read_heif
from lit_a1.data.errors import DataError
from lit_a1.demo import compare, digits, learning, photos
from lit_a1.demo.networks import Networks
from lit_a1.demo.pictures import html
from lit_a1.mlp.functions import NONLINEARITIES
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.settings import UsageError

HERE = Path(__file__).parent
TITLE = "Networks written by hand"
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
WIDTHS = (2, 4, 8, 16, 32, 64)
UPLOAD_SECONDS = 600  # then an upload is removed
HINT_PHOTOS = '<p class="hint">Drop photos of cats and dogs, or of anything else.</p>'
HINT_COMPARE = '<p class="hint">Drop photos: both networks label them, and those on which they differ come first.</p>'
HINT_LEARN = '<p class="hint">Train: the numpy network starts from zero, normal and Glorot weights, side by side.</p>'
EXPECTED_ERRORS = (DataError, CheckpointError, UsageError, OSError)
LIVE: Any = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
WITH_PROGRESS: Any = {"show_progress": "minimal", "api_visibility": "private"}


def show_errors(answer: Callable[..., Any], outputs: int = 1) -> Callable[..., Any]:
    """Wraps an answer to show what is wrong with its input, in the first of its `outputs` on the page."""

    @wraps(answer)
    def wrapped(*arguments: Any) -> Any:
        try:
            return answer(*arguments)
        except EXPECTED_ERRORS as error:
            message = html("error", sentence=str(error))
            return (message, *[""] * (outputs - 1)) if outputs > 1 else message

    return wrapped


def build(networks: Networks) -> gr.Blocks:
    """The page."""
    read_heif()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(UPLOAD_SECONDS, UPLOAD_SECONDS)) as page:
        gr.HTML(f"<h1>{TITLE}</h1>")
        with gr.Tab("Draw"):
            _draw_tab(networks)
        with gr.Tab("Photos"):
            _photos_tab(networks)
        with gr.Tab("Compare"):
            _compare_tab(networks)
        with gr.Tab("Learn"):
            _learn_tab()
    return page


def _dropdown(networks: Networks, kind: str, label: str, index: int = 0) -> Any:
    """A choice of networks, initially the one at `index`."""
    labels = networks.labels(kind)
    return gr.Dropdown(
        labels, value=labels[min(index, len(labels) - 1)] if labels else None, label=label, min_width=240
    )


def _draw_tab(networks: Networks) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=300, elem_classes="drawn"):
            template = html("canvas", side=digits.CANVAS)
            canvas = gr.HTML(html_template=template, js_on_load=(HERE / "canvas.js").read_text("utf-8"))
        with gr.Column(scale=3, min_width=300):
            answers = gr.HTML(html("digits", image=None), elem_classes="shown")
            with gr.Row():
                right = gr.Slider(-8, 8, 0, step=1, label="Shift right (pixels)")
                down = gr.Slider(-8, 8, 0, step=1, label="Shift down (pixels)")
                rotation = gr.Slider(-90, 90, 0, step=5, label="Turn left (degrees)")
                noise = gr.Slider(0, 0.6, 0, step=0.05, label="Noise (std, white = 1)")
                changes: list[Any] = [right, down, rotation, noise]
            reset = gr.Button("As it was drawn")
            inside = gr.HTML(elem_classes="shown")
            with gr.Row():
                choices = [_dropdown(networks, "perceptrons", "MLP"), _dropdown(networks, "digits", "CNN")]

    @partial(show_errors, outputs=2)
    def answer(drawing: str | None, perceptron: str, cnn: str, *change: float) -> tuple[str, str]:
        return digits.answer(networks, drawing, perceptron, cnn, *change)

    inputs, outputs = [canvas, *choices, *changes], [answers, inside]
    for event in (canvas.input, *(control.change for control in (*changes, *choices))):
        event(answer, inputs, outputs, **LIVE)
    reset.click(lambda: [0] * len(changes), None, changes, **LIVE)


def _photo_input() -> Any:
    """Where photos are dropped or taken with a camera."""
    suffixes = [suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes]
    files = gr.File(file_count="multiple", file_types=["image", *suffixes], label="Photos", height=160)
    with gr.Accordion("Take one with a camera", open=False):
        camera = gr.Image(sources=["webcam"], type="filepath", format="png", show_label=False, height=320)
    camera.change(lambda path: [path] if path else None, camera, files, **LIVE)
    return files


def _photos_tab(networks: Networks) -> None:
    files = _photo_input()
    with gr.Row():
        label = _dropdown(networks, "photos", "Network")
        find_neighbours = gr.Button("Find the nearest training photos", visible=photos.has_training_photos())
    output = gr.HTML(HINT_PHOTOS, elem_classes="shown")

    @show_errors
    def answer(files: list[str] | None, label: str) -> str:
        return photos.answer(networks, files, label) if files else HINT_PHOTOS

    @show_errors
    def neighbours(files: list[str] | None, label: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        photos.read_photos(files or [])
        photos.fill_bank(networks, label, partial(progress, desc="Looking at training photos"))
        return photos.answer(networks, files or [], label)

    for event in (files.change, label.change):
        event(answer, [files, label], output, **WITH_PROGRESS)
    find_neighbours.click(neighbours, [files, label], output, api_visibility="private")


def _compare_tab(networks: Networks) -> None:
    files = _photo_input()
    with gr.Row():
        labels = [_dropdown(networks, "photos", "One network", 0), _dropdown(networks, "photos", "Another network", 1)]
    output = gr.HTML(HINT_COMPARE, elem_classes="shown")

    @show_errors
    def answer(files: list[str] | None, first: str, second: str) -> str:
        return compare.answer(networks, files, first, second) if files else HINT_COMPARE

    for event in (files.change, *(dropdown.change for dropdown in labels)):
        event(answer, [files, *labels], output, **WITH_PROGRESS)


def _learn_tab() -> None:
    with gr.Row():
        data = gr.Dropdown(list(learning.choices()), value="moons", label="Data")
        rate = gr.Dropdown([*RATES], value=0.03, label="Learning rate")
        width = gr.Dropdown([*WIDTHS], value=16, label="Units in each hidden layer")
        depth = gr.Dropdown([1, 2, 3], value=2, label="Hidden layers")
        kind = gr.Dropdown(list(NONLINEARITIES), value="tanh", label="Nonlinearity")
    with gr.Row():
        start, stop = gr.Button("Train", variant="primary"), gr.Button("Stop")
    output = gr.HTML(HINT_LEARN, elem_classes="shown")

    def frames(data: str, rate: float, width: int, depth: int, kind: str) -> Iterator[str]:
        try:
            yield from learning.train(data, rate, width, depth, kind)
        except (ValueError, *EXPECTED_ERRORS) as error:
            yield html("error", sentence=str(error))

    options: Any = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 4}
    training = start.click(frames, [data, rate, width, depth, kind], output, **options)
    stop.click(None, cancels=[training])
