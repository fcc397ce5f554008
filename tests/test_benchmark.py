import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lit_a1.benchmark import BENCHMARKS, alternate, with_torch_norms
from lit_a1.cli import main
from lit_a1.layers import BatchNorm2d
from lit_a1.models.catsdogs import ResidualNet


def test_both_sides_are_the_same_network() -> None:
    ours = ResidualNet((8, 16), (1,))
    nn.init.normal_(ours.linear.weight)
    theirs = with_torch_norms(ours)
    assert not any(isinstance(module, BatchNorm2d) for module in theirs.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in theirs.modules()) == 4
    pictures = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(ours(pictures), theirs(pictures))


def test_sides_alternate_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    timing = alternate("x", lambda: calls.append("ours"), lambda: calls.append("theirs"), pairs=3, limit=1.15)
    assert len(calls) == 10
    assert calls[:4] == ["theirs", "ours", "ours", "theirs"]
    assert timing.limit == 1.15
    assert timing.ours_s >= 0


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(BENCHMARKS, "step", lambda pairs: [alternate("a step", list, list, pairs, 1.15)])
    main(["benchmark", "step", "--pairs", "1", "--json", "x.json"])
    (found,) = json.loads(Path("x.json").read_text())
    assert found.keys() == {"name", "ours_s", "theirs_s", "ratio", "limit"}
    assert "a step" in capsys.readouterr().out
