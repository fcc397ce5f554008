from types import SimpleNamespace
from typing import Any

import pytest

from lit_a1.callbacks.devices import check_process_count


@pytest.mark.parametrize(("devices", "nodes"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("started", ["2", "4", None])
def test_torchrun_must_start_a_process_a_device(
    monkeypatch: pytest.MonkeyPatch, devices: int, nodes: int, started: str | None
) -> None:
    trainer: Any = SimpleNamespace(num_devices=devices, num_nodes=nodes)
    if started is None:  # Lightning starts them, and tells each of them how many there are
        monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
        monkeypatch.setenv("WORLD_SIZE", "")
        check_process_count(trainer)
        monkeypatch.setenv("WORLD_SIZE", "7")
    else:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
        monkeypatch.setenv("WORLD_SIZE", started)
    if started in (None, str(devices * nodes)):
        check_process_count(trainer)
        return
    with pytest.raises(ValueError, match=rf"^{devices * nodes} processes must be started .* has started {started}$"):
        check_process_count(trainer)
