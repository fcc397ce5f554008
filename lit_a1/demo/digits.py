"""Draw a digit: what the numpy network and the CNN predict, and the units and feature maps behind it."""

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lit_a1.data.decode import decode
from lit_a1.data.errors import DataError
from lit_a1.data.sources.drawn import BOX, centred
from lit_a1.demo.networks import Networks
from lit_a1.demo.pictures import grey, html, tinted

CANVAS = 280  # pixels: height and width of the canvas
LONGEST = 1_000_000  # characters of a drawing
UNITS, MAPS = 8, 10  # how many are shown, of the first hidden layer and of each stage


def read_drawing(address: str) -> Image.Image:
    """The drawing, white on black, that the page sends as a `data:` address; a DataError if it is not a drawing."""
    kind, _, content = address[:LONGEST].partition(",")
    try:
        if kind != "data:image/png;base64":
            raise DataError("a PNG was expected")
        return Image.fromarray(decode(base64.b64decode(content, validate=True), CANVAS)).convert("L")
    except (DataError, binascii.Error) as error:
        raise DataError(f"The drawing can't be read: {error}.") from error


def to_mnist(
    drawing: Image.Image, right: float = 0, down: float = 0, degrees: float = 0, noise: float = 0
) -> NDArray[np.uint8] | None:
    """The drawing as an MNIST digit, centred (28,28), and then changed; None if nothing is drawn.

    It is shifted by pixels (of the 28), turned counter-clockwise, and gets noise with a standard deviation; white is 1.
    """
    if (box := drawing.getbbox()) is None:
        return None
    import torch

    from lit_a1.studies.comparison.changes import noisy, rotated, shifted  # importing torchvision takes a second

    digit = drawing.crop(box)
    scale = BOX / max(digit.size)
    image = torch.from_numpy(centred(digit, scale * digit.width, scale * digit.height))[None, None] / 255
    image = noisy(rotated(shifted(image, int(down), int(right)), degrees), noise)
    return (255 * image[0, 0]).round().to(torch.uint8).numpy()


def answer(networks: Networks, drawing: str | None, perceptron: str, cnn: str, *change: float) -> tuple[str, str]:
    """What both networks predict for a drawing, and why, as HTML; raises as `Networks` and `read_drawing`."""
    image = to_mnist(read_drawing(drawing), *change) if drawing else None
    if image is None:
        return html("digits", image=None), ""
    with networks.lock:
        answers = {"perceptron": _explain_by_units(networks.perceptron(perceptron), image)}
        answers["cnn"] = _explain_by_maps(networks.cnn("digits", cnn), image)
    return html("digits", image=image, **answers), html("inside", **answers)


def _explain_by_units(net: Any, image: NDArray[np.uint8]) -> dict[str, Any]:
    """The probabilities, and the units of the first hidden layer that raise the predicted class's logit most."""
    from lit_a1.mlp.files import to_pixels

    logits, drops = silence_units(net, to_pixels(image[None], net.dtype)[0])
    drop = drops[:, logits.argmax()]
    units = np.argsort(-drop, kind="stable")[:UNITS]
    shown = [(tinted(net.weights[0][:, unit].reshape(image.shape)), unit, drop[unit]) for unit in units]
    return {"probabilities": net.softmax(logits[None])[0].tolist(), "units": shown, "hidden": len(drop)}


def silence_units(net: Any, image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The logits (K,) of an image (inputs,), and how much they fall (h,K) if a unit is silenced.

    The h units are those of the first hidden layer. Unlike `NN.forward`, this leaves no trace.
    """
    activations = net.activation(image[None] @ net.weights[0] + net.biases[0])
    silenced = activations * (1 - np.eye(activations.shape[1], dtype=activations.dtype))
    hidden = np.concatenate([activations, silenced])
    for weights, biases in zip(net.weights[1:-1], net.biases[1:-1], strict=True):
        hidden = net.activation(hidden @ weights + biases)
    logits = hidden @ net.weights[-1] + net.biases[-1]
    return logits[0], logits[0] - logits[1:]


def _explain_by_maps(network: Any, image: NDArray[np.uint8]) -> dict[str, Any]:
    """The probabilities, and the feature maps that vary most over the image, layer by layer."""
    from lit_a1.analysis.feature_maps import most_varied
    from lit_a1.analysis.hidden_layers import feature_maps, hidden_layers

    network = network.with_images(image[None, :, :, None])
    layers, stages = hidden_layers(network.net, blocks=False), []
    (outputs,) = feature_maps(network, np.zeros(1, np.int64), layers)
    for layer, (maps,) in zip(layers, outputs, strict=True):
        shown = [grey(maps[channel].numpy()) for channel in most_varied(maps, MAPS)]
        stages.append({"name": layer.name, "channels": len(maps), "side": maps.shape[-1], "maps": shown})
    return {"probabilities": network.probabilities[0].tolist(), "stages": stages}
