"""Which hidden units of the numpy network an answer rests on."""

from typing import NamedTuple

import numpy as np

from lit_a1.mlp.network import NN, Array


class Units(NamedTuple):
    """The first hidden layer's h units, for one image."""

    activity: Array  # (h,)
    effect: Array  # (h,), by how much the logit falls where the unit is silenced
    weights: Array  # (h,inputs)


def logits_from(net: NN, hidden: Array) -> Array:
    """The logits (n,K) of activities (n,h) of the first hidden layer; unlike `NN.forward` it leaves no trace."""
    for weights, biases in zip(net.weights[1:-1], net.biases[1:-1], strict=True):
        hidden = net.activation(hidden @ weights + biases)
    return hidden @ net.weights[-1] + net.biases[-1]


def first_layer(net: NN, images: Array) -> Array:
    """The activities (n,h) of the first hidden layer for images (n,inputs)."""
    return net.activation(images @ net.weights[0] + net.biases[0])


def units(net: NN, image: Array, class_: int) -> Units:
    """What each unit of the first hidden layer does for the logit of a class: the logit is measured without it."""
    activity = first_layer(net, image[None])
    silenced = activity * (1 - np.eye(activity.shape[1], dtype=activity.dtype))
    logits = logits_from(net, np.concatenate([activity, silenced]))[:, class_]
    return Units(activity[0], logits[0] - logits[1:], net.weights[0].T)
