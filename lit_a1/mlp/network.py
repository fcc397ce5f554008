"""A multilayer perceptron in numpy: forward and backward by hand, no autograd."""

import numpy as np

from lit_a1.mlp.files import check_examples, read_data, read_network, to_pixels, write_arrays
from lit_a1.mlp.functions import DECAYS, INITIALIZATIONS, NONLINEARITIES, Array, Labels, decay_factor, maxima
from lit_a1.mlp.settings import Settings

__all__ = ["DECAYS", "EVAL_BATCH_SIZE", "INITIALIZATIONS", "NN", "NONLINEARITIES", "Array", "Labels"]

EVAL_BATCH_SIZE = 500


class NN(Settings):
    """A multilayer perceptron with softmax outputs, trained on cross-entropy by mini-batch gradient descent.

    With h_0 = x, for the layers k = 1..n_hidden and the output layer k = n_hidden + 1::

        z_k = h_{k-1} W_k + b_k          h_k = dropout(f(z_k))          p = softmax(z_{n_hidden+1})

    Rows are examples. All parameters are in one flat array, of which `weights` and `biases` are views; gradients are
    stored likewise. An update is thus a few operations on long arrays. Buffers are allocated once and written in place.

    It takes the keywords of `Settings`: `NN((512, 512), lr=0.1, momentum=0.9)`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._value, self._slope = NONLINEARITIES[self.nonlinearity]
        self.parameters, self.gradients, self.velocity = (np.zeros(self.n_parameters, self.dtype) for _ in range(3))
        self.weights, self.biases = self.layer_views(self.parameters)
        self._weight_gradients, self._bias_gradients = self.layer_views(self.gradients)
        self.epoch = self.step = self._rows = 0  # epochs and steps done, rows in the buffers
        self._data: dict[str, tuple[Array, Labels]] = {}
        self.initialize_weights(self.initialization)
        if self.mode == "test":
            self.load()

    def initialize_weights(self, initialization: str) -> None:
        """Draws new weights from the seed, and sets the biases to zero.

        `zero`: W = 0. `normal`: W ~ N(0, 1). `glorot`: W ~ U(-d, d) with d = sqrt(6 / (fan_in + fan_out))
        (Glorot & Bengio, 2010, equation 16).
        """
        if initialization not in INITIALIZATIONS:
            raise ValueError(f"initialization must be one of {', '.join(INITIALIZATIONS)}; got {initialization!r}")
        rng = np.random.default_rng(self.seed)
        self.parameters[:] = 0
        for weights in self.weights:
            weights[:] = INITIALIZATIONS[initialization](weights.shape, rng)

    # one step

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The logits (N, n_classes) of the rows of x (N, input_dim): a view, valid until the next call.

        Buffers keep what `backward` needs. `rng` draws dropout; without it nothing is dropped.
        """
        rows = len(x)
        self._allocate(rows)
        h = self._drop_out(0, x, rng)
        for k, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = self._z[k][:rows]
            self._inputs[k] = h
            np.matmul(h, weights, out=z)
            z += biases
            if k < self.n_hidden:
                h = self._drop_out(k + 1, self.activation(z, self._a[k][:rows]), rng)
        return z

    def _drop_out(self, k: int, h: Array, rng: np.random.Generator | None) -> Array:
        """Inverted dropout of the inputs (k = 0) or of hidden layer k."""
        rate = self.dropout if k else self.input_dropout
        self._masks[k] = None
        if rng is None or rate == 0:
            return h
        mask, dropped = self._mask_buffers[k][: len(h)], self._h[k][: len(h)]
        rng.random(out=mask, dtype=mask.dtype)
        np.greater_equal(mask, rate, out=mask)
        mask /= 1 - rate
        self._masks[k] = mask
        return np.multiply(h, mask, out=dropped)

    def activation(self, z: Array, out: Array | None = None) -> Array:
        """f(z), elementwise, written to `out` if given; with gelu `out` must not be z."""
        out = np.empty_like(z) if out is None else out
        self._value(z, out)
        return out

    def softmax(self, logits: Array) -> Array:
        """p_j = exp(z_j - max z) / sum_i exp(z_i - max z): no exponent is above 0, so none overflows."""
        p = np.exp(logits - maxima(logits))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def loss(self, logits: Array, labels: Labels) -> float:
        """Mean cross-entropy log sum_i exp(z_i - max z) - (z_y - max z), which neither overflows nor takes log 0."""
        shifted = logits - maxima(logits)
        label_logits = shifted[np.arange(len(labels)), labels]
        return float((np.log(np.exp(shifted).sum(axis=1)) - label_logits).mean())

    def backward(self, labels: Labels, scale: float = 1.0) -> Array:
        """`scale` times the gradient of the mean loss of the last `forward`, flat; valid until the next call.

        It overwrites the buffers of `forward`, which must run again before the next call. With the learning rate as
        `scale` it returns the step itself, which saves a pass over all parameters. With delta_k = dL/dz_k, from the
        last layer back to the first::

            delta_last = (p - onehot(y)) / N     (softmax and cross-entropy at once)
            dL/dW_k = h_{k-1}^T delta_k          dL/db_k = sum over rows of delta_k
            delta_{k-1} = (delta_k W_k^T) * mask_{k-1} * f'(z_{k-1})
        """
        rows = len(labels)
        delta = self.softmax(self._z[-1][:rows])
        delta[np.arange(rows), labels] -= 1
        delta *= scale / rows
        for k in range(self.n_hidden, -1, -1):
            np.matmul(self._inputs[k].T, delta, out=self._weight_gradients[k])
            np.matmul(self._ones[:rows], delta, out=self._bias_gradients[k])
            if k == 0:
                break  # the gradient of the pixels is not needed
            z, a = self._z[k - 1][:rows], self._a[k - 1][:rows]
            slope = self._slope(z, a)
            delta = np.matmul(delta, self.weights[k].T, out=z)
            delta *= slope
            if (mask := self._masks[k]) is not None:
                delta *= mask
        return self.gradients

    def update(self, step: Array, lr: float) -> None:
        """Gradient descent: w -= s, where s is lr times the gradient, from `backward` (and is overwritten here).

        With weight decay d, s += lr d w for weights. With momentum m, v = m v + s and w -= v, or with Nesterov's
        w -= s + m v (Sutskever et al., 2013, equations 1 to 4; equal to torch.optim.SGD while the rate is constant).
        """
        if self.weight_decay:
            for weight_step, weights in zip(self.layer_views(step)[0], self.weights, strict=True):
                weight_step += (lr * self.weight_decay) * weights
        if self.momentum:
            self.velocity *= self.momentum
            self.velocity += step
            if self.nesterov:
                step += self.momentum * self.velocity
            else:
                step = self.velocity
        self.parameters -= step

    def _allocate(self, rows: int) -> None:
        """Allocates buffers for `rows` rows, if they have fewer; shorter batches use the first rows."""
        if rows <= self._rows:
            return
        self._rows = rows
        inputs, outputs = ([np.empty((rows, n), self.dtype) for n in dims] for dims in (self.dims[:-1], self.dims[1:]))
        self._z = outputs
        # after the nonlinearity; in place, except for GELU
        self._a = [np.empty_like(z) for z in outputs[:-1]] if self.nonlinearity == "gelu" else outputs[:-1]
        self._h, self._mask_buffers = inputs, [np.empty_like(h) for h in inputs]  # after dropout, and its factors
        self._ones = np.ones(rows, self.dtype)
        self._masks: list[Array | None] = [None] * len(self.weights)
        self._inputs: list[Array] = [np.empty(0)] * len(self.weights)  # h_{k-1} of each layer

    # epochs

    def learning_rate(self, steps_per_epoch: int) -> float:
        """The learning rate of the next step."""
        done = self.step / (steps_per_epoch * self.epochs)
        return self.lr * decay_factor(self.lr_decay, done, self.epoch, self.lr_decay_rate)

    def draws(self) -> np.random.Generator:
        """Random numbers of the next epoch: first the order of the images, then dropout."""
        return np.random.default_rng([self.seed, self.epoch + 1])  # not the stream of the initial weights

    def train(self, images: Array | None = None, labels: Labels | None = None) -> tuple[float, float]:
        """One epoch over the images, in an order drawn from (seed, epoch).

        Args:
            images: (N, input_dim), floating point; by default those of `datapath`.
            labels: (N,) integers from 0 to n_classes - 1.

        Returns:
            Mean loss and share of errors, measured while the weights changed.

        Raises:
            ValueError: the mode is `test`, or images or labels are not as above.
        """
        if self.mode != "train":
            raise ValueError("a network in mode 'test' can't be trained; make it with mode 'train'")
        x, y = self.data["train"] if images is None else check_examples(images, labels, self.dims, self.dtype)
        rng = self.draws()
        order = rng.permutation(len(x))
        largest_batch = min(self.batch_size, len(x))
        self._allocate(largest_batch)
        batch = np.empty((largest_batch, self.dims[0]), self.dtype)
        loss, errors = 0.0, 0
        steps = -(-len(x) // self.batch_size)
        for start in range(0, len(x), self.batch_size):
            rows = order[start : start + self.batch_size]
            targets = y[rows]
            logits = self.forward(np.take(x, rows, axis=0, out=batch[: len(rows)], mode="clip"), rng)
            loss += self.loss(logits, targets) * len(rows)
            errors += int(np.count_nonzero(logits.argmax(axis=1) != targets))
            lr = self.learning_rate(steps)
            self.update(self.backward(targets, lr), lr)
            self.step += 1
        self.epoch += 1
        return loss / len(x), errors / len(x)

    def test(self, images: Array | None = None, labels: Labels | None = None) -> tuple[float, float]:
        """Mean loss and share of errors, without dropout or learning; arguments and errors as in `train`."""
        x, y = self.data["test"] if images is None else check_examples(images, labels, self.dims, self.dtype)
        loss, errors = 0.0, 0
        for start in range(0, len(x), EVAL_BATCH_SIZE):
            targets = y[start : start + EVAL_BATCH_SIZE]
            logits = self.forward(x[start : start + EVAL_BATCH_SIZE])
            loss += self.loss(logits, targets) * len(targets)
            errors += int(np.count_nonzero(logits.argmax(axis=1) != targets))
        return loss / len(x), errors / len(x)

    # files

    @property
    def data(self) -> dict[str, tuple[Array, Labels]]:
        """Images and labels of `datapath`: `train`, `valid`, `test`; a ValueError if the file holds something else."""
        if not self._data:
            self._data = {
                part: check_examples(to_pixels(images, self.dtype), labels, self.dims, self.dtype)
                for part, (images, labels) in read_data(self.datapath).items()
            }
        return self._data

    def _arrays(self) -> dict[str, np.ndarray]:
        """The arrays to save, by name; weights, biases and velocity share the network's memory."""
        arrays = {f"w{k}": weights for k, weights in enumerate(self.weights, 1)}
        arrays |= {f"b{k}": biases for k, biases in enumerate(self.biases, 1)}
        arrays |= {"dims": np.array(self.dims), "nonlinearity": np.array(self.nonlinearity)}
        return arrays | {"done": np.array((self.epoch, self.step)), "velocity": self.velocity}

    def save(self, path: str | None = None, **extra: np.ndarray) -> None:
        """Writes weights, velocity, epochs and steps done to `path`, by default `model_path` (`.npz`, no pickle).

        `extra` arrays go into the same file; `load` ignores them.
        """
        write_arrays(path or self.model_path, self._arrays() | extra)

    def load(self, path: str | None = None) -> None:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is missing, damaged, or of another architecture or nonlinearity.
        """
        arrays = self._arrays()
        for name, array in read_network(path or self.model_path, arrays).items():
            arrays[name][...] = array
        self.epoch, self.step = map(int, arrays["done"])
