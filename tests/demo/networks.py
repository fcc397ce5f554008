"""Networks for the page, small and untrained."""

import threading
from typing import Any

from lit_a1.demo.networks import Networks
from lit_a1.mlp.network import NN
from tests.analysis.networks import network_of


class Small(Networks):
    """One of each kind, whatever the label."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.banks: dict[str, Any] = {}
        self.nets: dict[str, Any] = {kind: network_of(kind) for kind in ("photos", "digits")}
        self.mlp = NN((20, 10), parameter_range=(1, 100_000))
        self.notes: dict[str, Any] = {}

    def note(self, kind: str, label: str) -> dict[str, Any]:
        return self.notes

    def cnn(self, kind: str, label: str | None) -> Any:  # type: ignore[override]
        return self.nets[kind]

    def perceptron(self, label: str | None) -> NN:  # type: ignore[override]
        return self.mlp
