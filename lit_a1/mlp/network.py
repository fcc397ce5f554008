"""A multilayer perceptron in numpy: forward and backward by hand, no autograd."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]
INITIALIZATIONS = ("zero", "normal", "glorot")
DECAYS = ("constant", "linear", "cosine", "exponential")
VALIDATION = 10_000  # the last pictures of the training file
ROWS = 500  # pictures a forward pass when nothing is learnt
LEAK = 0.01
GELU_C, GELU_K = (2 / np.pi) ** 0.5, 0.044715


# Nonlinearities f, each with f'. `_f(z, out)` writes f(z); `_f_slope(z, a)` returns f'(z), where a = f(z). All but GELU
# work in place: `out` may be z itself, and f' needs a alone.


def _relu(z: Array, out: Array) -> None:  # max(z, 0)
    np.maximum(z, np.zeros_like(z[0]), out=out)  # a row of zeros: three times as fast as the number


def _relu_slope(z: Array, a: Array) -> np.ndarray:  # [z > 0]: 0 at the kink
    return a > 0


def _leaky_relu(z: Array, out: Array) -> None:  # max(z, s z) with s = 0.01 (Maas et al., 2013)
    np.maximum(z, LEAK * z, out=out)


def _leaky_relu_slope(z: Array, a: Array) -> np.ndarray:  # 1 where z > 0, else s
    return np.where(a > 0, a.dtype.type(1), a.dtype.type(LEAK))


def _tanh(z: Array, out: Array) -> None:
    np.tanh(z, out=out)


def _tanh_slope(z: Array, a: Array) -> np.ndarray:
    return 1 - a * a


def _sigmoid(z: Array, out: Array) -> None:  # 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2, which can't overflow
    np.multiply(z, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


def _sigmoid_slope(z: Array, a: Array) -> np.ndarray:
    return a * (1 - a)


def _gelu(z: Array, out: Array) -> None:  # z (1 + t) / 2 with t = tanh(c (z + k z^3)) (Hendrycks & Gimpel, 2016)
    np.multiply(z, z, out=out)
    out *= GELU_C * GELU_K
    out += GELU_C
    out *= z
    np.tanh(out, out=out)
    out += 1
    out *= z
    out *= 0.5


def _gelu_slope(z: Array, a: Array) -> np.ndarray:  # (1 + t) / 2 + z (1 - t^2) c (1 + 3 k z^2) / 2
    square = z * z
    t = np.tanh(z * (GELU_C + GELU_C * GELU_K * square))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (GELU_C + 3 * GELU_C * GELU_K * square)


NONLINEARITIES = {
    "relu": (_relu, _relu_slope),
    "leaky_relu": (_leaky_relu, _leaky_relu_slope),
    "tanh": (_tanh, _tanh_slope),
    "sigmoid": (_sigmoid, _sigmoid_slope),
    "gelu": (_gelu, _gelu_slope),
}


class NN:
    """A multilayer perceptron with softmax outputs, trained on its cross-entropy by mini-batch gradient descent.

    With h_0 = x, for the layers k = 1..n_hidden and the output layer k = n_hidden + 1::

        z_k = h_{k-1} W_k + b_k          h_k = dropout(f(z_k))          p = softmax(z_{n_hidden+1})

    Rows are examples. The parameters lie in one flat array, `weights` and `biases` are views of it, and likewise the
    gradients; so an update is a few operations on long arrays. Buffers are allocated once and written in place.

    Args:
        hidden_dims: units of the hidden layers, (h1, h2) in the assignment.
        n_hidden: number of hidden layers, the length of `hidden_dims`.
        mode: `train`, or `test` to use trained weights, which are then read from `model_path`.
        datapath: a `.npz` file with x_train, y_train, x_test and y_test (the layout of the widespread `mnist.npz`),
            for `train` and `test` without arguments; the last 10,000 training pictures are kept for validation.
        model_path: where `save` writes the weights and `load` reads them, a `.npz` file.
        input_dim: pixels a picture.
        n_classes: outputs.
        nonlinearity: of the hidden layers: relu, leaky_relu, tanh, sigmoid or gelu (its approximation by tanh).
        initialization: of the weights: zero, normal or glorot; biases start at zero.
        parameter_range: smallest and largest number of parameters, biases included; others are refused.
        lr: learning rate of the first step.
        lr_decay: constant; linear or cosine, to zero at the end of all epochs; or exponential.
        lr_decay_rate: factor an epoch, where the decay is exponential.
        epochs: passes over the training set that linear and cosine decay are laid out over.
        batch_size: examples a step.
        momentum: share of the last step's velocity that is kept; 0 for none (Polyak, 1964).
        nesterov: look ahead along the velocity (Sutskever et al., 2013, as torch.optim.SGD has it).
        weight_decay: L2 penalty: this times the weights is added to their gradients (not to the biases').
        dropout: probability that a hidden unit is left out of a training step (Srivastava et al., 2014; the others
            are scaled up then, so that nothing is left to do when testing).
        input_dropout: likewise for a pixel.
        seed: of the initial weights, the order of the examples and dropout.
        dtype: float32, or float64 to check derivatives.

    Raises:
        ValueError: says what was wrong, and what was expected.
    """

    def __init__(
        self,
        hidden_dims: tuple[int, ...] = (512, 512),
        n_hidden: int = 2,
        mode: str = "train",
        datapath: str | None = None,
        model_path: str | None = None,
        *,
        input_dim: int = 784,
        n_classes: int = 10,
        nonlinearity: str = "relu",
        initialization: str = "glorot",
        parameter_range: tuple[int, int] = (500_000, 1_000_000),
        lr: float = 0.1,
        lr_decay: str = "constant",
        lr_decay_rate: float = 0.95,
        epochs: int = 20,
        batch_size: int = 128,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        if n_hidden != len(hidden_dims):
            raise ValueError(f"n_hidden must be the length of hidden_dims, {len(hidden_dims)}; got {n_hidden}")
        words = {"mode": ("train", "test"), "nonlinearity": tuple(NONLINEARITIES), "lr_decay": DECAYS}
        given = {"mode": mode, "nonlinearity": nonlinearity, "lr_decay": lr_decay, "dtype": dtype}
        for name, allowed in (words | {"dtype": ("float32", "float64")}).items():
            if given[name] not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {given[name]!r}")
        units = {"hidden_dims": min(hidden_dims, default=1), "input_dim": input_dim, "n_classes": n_classes}
        counts = units | {"epochs": epochs, "batch_size": batch_size}
        shares = {"momentum": momentum, "dropout": dropout, "input_dropout": input_dropout}
        numbers = {"lr": lr, "lr_decay_rate": lr_decay_rate, "weight_decay": weight_decay, "seed": seed}
        for values, low, high in ((counts, 1, np.inf), (shares, 0, 1), (numbers, 0, np.inf)):
            for name, value in values.items():
                if not low <= value < high:
                    raise ValueError(f"{name} must be in [{low}, {high}); got {value}")
        if nesterov and not momentum:
            raise ValueError("nesterov looks ahead along the momentum, which must be above 0; got 0")
        self.dims = (input_dim, *hidden_dims, n_classes)
        self.n_hidden, self.mode, self.datapath, self.model_path = n_hidden, mode, datapath, model_path
        self.nonlinearity, (self._value, self._slope) = nonlinearity, NONLINEARITIES[nonlinearity]
        self.lr_decay, self.lr_decay_rate, self.epochs = lr_decay, lr_decay_rate, epochs
        self.lr, self.batch_size, self.momentum, self.nesterov = lr, batch_size, momentum, nesterov
        self.weight_decay, self.dropout, self.input_dropout, self.seed = weight_decay, dropout, input_dropout, seed
        self.dtype = np.dtype(dtype)
        count, (fewest, most) = self.n_parameters, parameter_range
        if not fewest <= count <= most:
            wanted = f"parameter_range allows {fewest:,} to {most:,}"
            raise ValueError(f"the network {self.architecture} has {count:,} parameters; {wanted}")
        self.parameters, self.gradients, self.velocity = (np.zeros(count, self.dtype) for _ in range(3))
        self.weights, self.biases = self._views(self.parameters)
        self._weight_gradients, self._bias_gradients = self._views(self.gradients)
        self.epoch = self.step = self._rows = 0  # epochs and steps done, rows that the buffers have
        self._data: dict[str, tuple[Array, Labels]] = {}
        self.initialize_weights(initialization)
        if mode == "test":
            self.load()

    # parameters

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in zip(self.dims[:-1], self.dims[1:], strict=True))

    @property
    def architecture(self) -> str:
        """Units of all layers: 784-512-512-10."""
        return "-".join(map(str, self.dims))

    def _views(self, flat: Array) -> tuple[list[Array], list[Array]]:
        """Matrices (fan_in, fan_out) and vectors (fan_out,) that share the memory of a flat array."""
        matrices, vectors, start = [], [], 0
        for fan_in, fan_out in zip(self.dims[:-1], self.dims[1:], strict=True):
            middle, end = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            matrices.append(flat[start:middle].reshape(fan_in, fan_out))
            vectors.append(flat[middle:end])
            start = end
        return matrices, vectors

    def initialize_weights(self, initialization: str) -> None:
        """Draws the weights anew, from the seed, and sets the biases to zero.

        `zero`: W = 0. `normal`: W ~ N(0, 1). `glorot`: W ~ U(-d, d) with d = sqrt(6 / (fan_in + fan_out))
        (Glorot & Bengio, 2010, equation 16).
        """
        if initialization not in INITIALIZATIONS:
            raise ValueError(f"initialization must be one of {', '.join(INITIALIZATIONS)}; got {initialization!r}")
        rng = np.random.default_rng(self.seed)
        self.parameters[:] = 0
        for weights in self.weights:
            if initialization == "normal":
                weights[:] = rng.standard_normal(weights.shape)
            elif initialization == "glorot":
                d = np.sqrt(6 / sum(weights.shape))
                weights[:] = rng.uniform(-d, d, weights.shape)

    # one step

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The logits (N, n_classes) of the rows of x (N, input_dim); a view, valid until the next call.

        What `backward` needs stays in buffers. `rng` draws dropout; without it nothing is dropped.
        """
        rows = len(x)
        self._allocate(rows)
        h = self._dropped(0, x, rng)
        for k, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = self._z[k][:rows]
            self._inputs[k] = h
            np.matmul(h, weights, out=z)
            z += biases
            if k < self.n_hidden:
                h = self._dropped(k + 1, self.activation(z, self._a[k][:rows]), rng)
        return z

    def _dropped(self, k: int, h: Array, rng: np.random.Generator | None) -> Array:
        """Inverted dropout of the inputs (k = 0) or of hidden layer k."""
        rate = self.dropout if k else self.input_dropout
        self._kept[k] = None
        if rng is None or rate == 0:
            return h
        kept, dropped = self._mask[k][: len(h)], self._h[k][: len(h)]
        rng.random(out=kept, dtype=kept.dtype)
        np.greater_equal(kept, rate, out=kept)
        kept /= 1 - rate
        self._kept[k] = kept
        return np.multiply(h, kept, out=dropped)

    def activation(self, z: Array, out: Array | None = None) -> Array:
        """f(z), unit by unit, into `out` where it is given; with gelu `out` may not be z."""
        out = np.empty_like(z) if out is None else out
        self._value(z, out)
        return out

    def softmax(self, logits: Array) -> Array:
        """p_j = exp(z_j - max z) / sum_i exp(z_i - max z): no exponent is above 0, so that none overflows."""
        p = np.exp(logits - _largest(logits))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def loss(self, logits: Array, labels: Labels) -> float:
        """Mean cross-entropy log sum_i exp(z_i - max z) - (z_y - max z), which neither overflows nor takes log 0."""
        shifted = logits - _largest(logits)
        own = shifted[np.arange(len(labels)), labels]
        return float((np.log(np.exp(shifted).sum(axis=1)) - own).mean())

    def backward(self, labels: Labels, scale: float = 1.0) -> Array:
        """`scale` times the gradient of the mean loss of the last `forward`, flat; valid until the next call.

        Works in the buffers of `forward`, which has to run again before the next call. With the learning rate as
        `scale` it is the step to take: one pass fewer over all parameters than to multiply afterwards. With
        delta_k = dL/dz_k, from the last layer back to the first::

            delta_last = (p - onehot(y)) / N     (softmax and cross-entropy at once)
            dL/dW_k = h_{k-1}^T delta_k          dL/db_k = sum over rows of delta_k
            delta_{k-1} = (delta_k W_k^T) * kept_{k-1} * f'(z_{k-1})
        """
        rows = len(labels)
        delta = self.softmax(self._z[-1][:rows])
        delta[np.arange(rows), labels] -= 1
        delta *= scale / rows
        for k in range(self.n_hidden, -1, -1):
            np.matmul(self._inputs[k].T, delta, out=self._weight_gradients[k])
            np.matmul(self._ones[:rows], delta, out=self._bias_gradients[k])
            if k == 0:
                break  # nobody asks for the gradient of the pixels
            z, a = self._z[k - 1][:rows], self._a[k - 1][:rows]
            slope = self._slope(z, a)
            delta = np.matmul(delta, self.weights[k].T, out=z)
            delta *= slope
            if (kept := self._kept[k]) is not None:
                delta *= kept
        return self.gradients

    def update(self, step: Array, lr: float) -> None:
        """Gradient descent: w -= s, where s is lr times the gradient, as `backward` gives it (and spoilt here).

        With weight decay d, s += lr d w for weights. With momentum m, v = m v + s and w -= v, or with Nesterov's
        w -= s + m v (Sutskever et al., 2013, equations 1 to 4; equal to torch.optim.SGD while the rate is constant).
        """
        if self.weight_decay:
            for own, weights in zip(self._views(step)[0], self.weights, strict=True):
                own += (lr * self.weight_decay) * weights
        if self.momentum:
            self.velocity *= self.momentum
            self.velocity += step
            if self.nesterov:
                step += self.momentum * self.velocity
            else:
                step = self.velocity
        self.parameters -= step

    def _allocate(self, rows: int) -> None:
        """Buffers for that many rows, unless there are as many already: shorter batches use the first ones."""
        if rows <= self._rows:
            return
        self._rows = rows

        def empty(dims: tuple[int, ...]) -> list[Array]:
            return [np.empty((rows, units), self.dtype) for units in dims]

        hidden = self.dims[1:-1]
        self._z = empty(self.dims[1:])
        self._a = empty(hidden) if self.nonlinearity == "gelu" else self._z[:-1]  # after the nonlinearity, in place
        self._h, self._mask = empty(self.dims[:-1]), empty(self.dims[:-1])  # after dropout, and what it multiplies by
        self._ones = np.ones(rows, self.dtype)
        self._kept: list[Array | None] = [None] * len(self.weights)
        self._inputs: list[Array] = [np.empty(0)] * len(self.weights)  # h_{k-1} of each layer

    # epochs

    def learning_rate(self, steps_an_epoch: int) -> float:
        """The rate of the coming step."""
        done = self.step / (steps_an_epoch * self.epochs)
        if self.lr_decay == "linear":
            return self.lr * max(0.0, 1 - done)
        if self.lr_decay == "cosine":
            return self.lr * float(1 + np.cos(np.pi * min(1.0, done))) / 2
        return self.lr * (self.lr_decay_rate**self.epoch if self.lr_decay == "exponential" else 1)

    def train(self, pictures: Array | None = None, labels: Labels | None = None) -> tuple[float, float]:
        """One epoch over the pictures, in an order drawn from (seed, epoch).

        Args:
            pictures: (N, input_dim), floating point; those of `datapath` by default.
            labels: (N,) integers from 0 to n_classes - 1.

        Returns:
            Mean loss and share of errors, as they were while the weights changed.

        Raises:
            ValueError: the mode is `test`, or pictures or labels are not of that kind.
        """
        if self.mode != "train":
            raise ValueError("a network in mode 'test' can't be trained; make it with mode 'train'")
        x, y = self.data["train"] if pictures is None else self._checked(pictures, labels)
        rng = np.random.default_rng([self.seed, self.epoch + 1])  # not the numbers that the weights were drawn with
        order = rng.permutation(len(x))
        self._allocate(self.batch_size)
        batch = np.empty((self.batch_size, self.dims[0]), self.dtype)
        loss, errors = 0.0, 0
        steps = -(-len(x) // self.batch_size)
        for start in range(0, len(x), self.batch_size):
            rows = order[start : start + self.batch_size]
            wanted = y[rows]
            logits = self.forward(np.take(x, rows, axis=0, out=batch[: len(rows)], mode="clip"), rng)
            loss += self.loss(logits, wanted) * len(rows)
            errors += int(np.count_nonzero(logits.argmax(axis=1) != wanted))
            lr = self.learning_rate(steps)
            self.update(self.backward(wanted, lr), lr)
            self.step += 1
        self.epoch += 1
        return loss / len(x), errors / len(x)

    def test(self, pictures: Array | None = None, labels: Labels | None = None) -> tuple[float, float]:
        """Mean loss and share of errors, nothing dropped, nothing learnt; of the test pictures by default.

        Raises:
            ValueError: as `train`.
        """
        x, y = self.data["test"] if pictures is None else self._checked(pictures, labels)
        loss, errors = 0.0, 0
        for start in range(0, len(x), ROWS):
            wanted = y[start : start + ROWS]
            logits = self.forward(x[start : start + ROWS])
            loss += self.loss(logits, wanted) * len(wanted)
            errors += int(np.count_nonzero(logits.argmax(axis=1) != wanted))
        return loss / len(x), errors / len(x)

    def _checked(self, pictures: Array, labels: Labels | None) -> tuple[Array, Labels]:
        if pictures.ndim != 2 or pictures.shape[1] != self.dims[0] or len(pictures) == 0:
            raise ValueError(f"pictures must be rows of {self.dims[0]} pixels; got an array of shape {pictures.shape}")
        if pictures.dtype != self.dtype:
            raise ValueError(f"pictures must be {self.dtype}; got {pictures.dtype}")
        if labels is None or labels.shape != pictures.shape[:1] or labels.dtype.kind not in "iu":
            shape = "no labels" if labels is None else f"{labels.dtype} of shape {labels.shape}"
            raise ValueError(f"labels must be {len(pictures)} integers, one a picture; got {shape}")
        if labels.min() < 0 or labels.max() >= self.dims[-1]:
            wrong = labels[(labels < 0) | (labels >= self.dims[-1])][0]
            raise ValueError(f"labels must be from 0 to {self.dims[-1] - 1}; got {wrong}")
        if not np.isfinite([pictures.min(), pictures.max()]).all():
            raise ValueError("pictures must be finite numbers; got NaN or infinity")
        return pictures, labels

    # files

    @property
    def data(self) -> dict[str, tuple[Array, Labels]]:
        """Pictures and labels of `datapath`: `train`, `valid` and `test`.

        Raises:
            ValueError: there is no such file, or it holds something else.
        """
        if not self._data:
            if self.datapath is None:
                raise ValueError("datapath must name a .npz file with x_train, y_train, x_test and y_test; got None")
            x, y, x_test, y_test = _arrays(self.datapath, ("x_train", "y_train", "x_test", "y_test"))
            held_out = min(VALIDATION, max(1, len(x) // 6))
            parts = {"train": (x[:-held_out], y[:-held_out]), "valid": (x[-held_out:], y[-held_out:])}
            parts["test"] = x_test, y_test
            self._data = {name: self._checked(self.pixels(part[0]), part[1]) for name, part in parts.items()}
        return self._data

    def pixels(self, pictures: NDArray[np.uint8]) -> Array:
        """Pictures (N, ...) uint8 as rows (N, input_dim) from 0 to 1.

        Raises:
            ValueError: they are not uint8.
        """
        if pictures.dtype != np.uint8:
            raise ValueError(f"pictures must be uint8, from 0 to 255; got {pictures.dtype}")
        return np.divide(pictures.reshape(len(pictures), int(np.prod(pictures.shape[1:]))), 255, dtype=self.dtype)

    def save(self, path: str | None = None, **extra: np.ndarray) -> None:
        """Writes weights, velocity, epochs and steps done to `path`, by default `model_path` (`.npz`, no pickle).

        `extra` arrays go into the same file, and `load` leaves them alone.
        """
        if (path := path or self.model_path) is None:
            raise ValueError("model_path must name a .npz file to save to; got None")
        arrays: dict = {f"w{k}": weights for k, weights in enumerate(self.weights, 1)}
        arrays |= {f"b{k}": biases for k, biases in enumerate(self.biases, 1)}
        arrays |= {"dims": np.array(self.dims), "nonlinearity": np.array(self.nonlinearity)}
        arrays |= {"done": np.array((self.epoch, self.step)), "velocity": self.velocity}
        with open(path, "wb") as file:  # noqa: PTH123  (numpy alone)
            np.savez(file, **(arrays | extra))

    def load(self, path: str | None = None) -> None:
        """Reads what `save` wrote.

        Raises:
            ValueError: there is no such file, it is damaged, or from another architecture or nonlinearity.
        """
        if (path := path or self.model_path) is None:
            raise ValueError("model_path must name a .npz file that `save` wrote; got None")
        dims, nonlinearity, done, velocity = _arrays(path, ("dims", "nonlinearity", "done", "velocity"))
        found = f"{'-'.join(map(str, dims))} with {nonlinearity}"
        if found != (wanted := f"{self.architecture} with {self.nonlinearity}"):
            raise ValueError(f"{path} holds a network {found}; {wanted} was expected")
        layers = range(1, len(self.weights) + 1)
        read = [*_arrays(path, [f"{kind}{k}" for kind in "wb" for k in layers]), velocity]
        own = [*self.weights, *self.biases, self.velocity]
        for mine, theirs in zip(own, read, strict=True):
            if mine.shape != theirs.shape or theirs.dtype.kind != "f":
                raise ValueError(f"{path} is damaged: its arrays have another shape or kind of numbers")
            if not np.isfinite(theirs).all():
                raise ValueError(f"{path} holds weights that are not finite: its training had diverged")
        if done.shape != (2,) or done.dtype.kind != "i":
            raise ValueError(f"{path} is damaged: it does not say how many epochs and steps are done")
        for mine, theirs in zip(own, read, strict=True):
            mine[...] = theirs
        self.epoch, self.step = map(int, done)


def _largest(rows: Array) -> Array:
    """The largest number of each row, (N, 1): by its place, which numpy finds sooner than the number itself."""
    return rows[np.arange(len(rows)), rows.argmax(axis=1)][:, None]


def _arrays(path: str, names: tuple[str, ...] | list[str]) -> list[np.ndarray]:
    """Arrays of a .npz file, by name."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:  # noqa: PTH123  (numpy alone)
            return [arrays[name] for name in names]
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except KeyError as error:
        raise ValueError(f"{path} must hold {', '.join(names)}: {error.args[0]}") from error
    except Exception as error:  # zipfile has errors of its own, and this module knows numpy alone
        raise ValueError(f"{path} is not a .npz file of arrays: {error}") from error
