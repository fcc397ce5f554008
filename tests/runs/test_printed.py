from pathlib import Path

from lit_a1.runs.printed import print_finished
from tests.conftest import Capture


def test_the_next_commands_are_printed_letter_by_letter(capsys: Capture) -> None:
    record = {"best": {"epoch": 0}, "epochs": [{}], "seconds": 1.0, "peak_memory_gb": 0.1, "parameters": 1}
    flags = "--model.teachers '[/weights/best.ckpt]' --model.start '[bold]'"
    print_finished(record, "Checkpoint", Path("[red]/best.ckpt"), [f"validate {flags}"], "logs[/]")
    said = capsys.readouterr().out
    assert all(text in said for text in (flags, "Checkpoint: [red]", "--logdir 'logs[/]'"))
