"""Which hidden units of the numpy network an answer rests on."""

import numpy as np

from lit_a1.mlp.network import NN, Array


def effects(net: NN, image: Array) -> tuple[Array, Array]:
    """The logits (K,) of an image (inputs,), and by how much they fall (h,K) where a unit is silenced.

    The h units are those of the first hidden layer. Unlike `NN.forward` it leaves no trace.
    """
    activity = net.activation(image[None] @ net.weights[0] + net.biases[0])
    silenced = activity * (1 - np.eye(activity.shape[1], dtype=activity.dtype))
    hidden = np.concatenate([activity, silenced])
    for weights, biases in zip(net.weights[1:-1], net.biases[1:-1], strict=True):
        hidden = net.activation(hidden @ weights + biases)
    logits = hidden @ net.weights[-1] + net.biases[-1]
    return logits[0], logits[0] - logits[1:]
