import pytest

from lit_a1.cli import main
from lit_a1.mlp.network import NN
from tests.conftest import CONFIGS, Capture, Refusal


def table(capsys: Capture, *arguments: str) -> list[list[str]]:
    """The cells of what the command prints, rules and empty lines left out."""
    main(["architecture", *arguments])
    lines = capsys.readouterr().out.splitlines()
    return [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines if line[0] in "│┃"
    ]


def test_the_layers_of_a_cnn(capsys: Capture) -> None:
    small = ("--model.widths", "[4,6]", "--model.blocks", "[1]", "--data.size", "20")
    heading, *rows, total = table(capsys, "--config", str(CONFIGS / "mnist.yaml"), *small)
    assert heading == ["layer", "from", "filter", "stride", "padding", "output", "parameters", "multiply-adds"]
    assert rows[0] == ["stem, convolution 3x3", "PyTorch", "3x3", "1", "1", "4x20x20", "36", "14,400"]
    assert rows[-1] == ["head, linear layer", "PyTorch", "", "", "", "10", "70", "60"]
    assert total == ["total", "", "", "", "", "", "714", f"{400 * 36 + 100 * (216 + 324 + 24) + 60:,}"]
    assert sum(int(row[6].replace(",", "")) for row in rows) == 714


def test_the_layers_of_the_mlp(capsys: Capture) -> None:
    options = ("--model.hidden_dims", "[600,300]")
    _, *rows, total = table(capsys, "--config", str(CONFIGS / "mlp.yaml"), *options)
    named = ["hidden layer 2, linear layer, W2 and b2", "this project", "", "", "", "300", "180,300", "180,000"]
    assert rows[2] == named
    assert total[6] == f"{NN((600, 300)).n_parameters:,}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a network, with --config configs/mnist.yaml"),
        (["--config", str(CONFIGS / "mnist.yaml"), "--model.blocks", "[1]"], "blocks needs one value"),
        (["--config", str(CONFIGS / "mlp.yaml"), "--model.hidden_dims", "[5]"], "500,000"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_is_no_network_is_refused(arguments: list[str], words: str, refusal: Refusal) -> None:
    assert words in refusal("architecture", *arguments)
