"""Makes arrays into pictures for the page, and fills in its templates."""

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

ORANGE, BLUE = (213, 94, 0), (0, 114, 178)  # of runs/plotting.py


def png(image: NDArray[Any]) -> str:
    """An image (H,W) or (H,W,3) uint8 as a `data:` address for an `<img>`."""
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values (H,W) as grey, from 0 (black) to the largest (white)."""
    return (255 * np.clip(values / max(values.max(), 1e-12), 0, 1)).astype(np.uint8)


def tinted(values: NDArray[Any], background: NDArray[Any] | int = 255, opacity: float = 1.0) -> NDArray[np.uint8]:
    """Values (H,W) as a tint of `background` (H,W,3): orange above 0, blue below, stronger farther from 0."""
    share = opacity * np.abs(values)[..., None] / max(float(np.abs(values).max()), 1e-12)
    colour = np.where((values > 0)[..., None], ORANGE, BLUE)
    return ((1 - share) * background + share * colour).astype(np.uint8)


def share(probability: float) -> str:
    """A probability in percent, never as certain: `> 99.9 %`."""
    if probability > 0.999:
        return "> 99.9\u00a0%"
    return f"{100 * probability:.1f}\u00a0%"


_templates = Environment(
    loader=PackageLoader("lit_a1", "demo"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"png": png, "share": share}


def html(template: str, **values: Any) -> str:
    """A template of this folder, filled in; texts are escaped."""
    return _templates.get_template(f"{template}.html").render(values)
