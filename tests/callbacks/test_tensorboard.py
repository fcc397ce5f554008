"""Lightning's logger: what an interrupted process logged after its last checkpoint is hidden once the run goes on."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from lit_a1.runs.events import in_order
from tests.conftest import scalars


def test_a_resumed_run_logs_again_from_its_checkpoint() -> None:
    for value, steps, purge_step in ((1.0, range(6), None), (2.0, range(3, 5), 3)):
        logger = TensorBoardLogger("logs", "run", 0, purge_step=purge_step)
        with in_order(Path(logger.log_dir)):  # as `fit` does
            _ = logger.experiment
        for step in steps:
            logger.log_metrics({"val/loss": value}, step)
        logger.finalize("success")
    expected = [*((step, 1.0) for step in range(3)), *((step, 2.0) for step in (3, 4))]
    assert scalars(Path("logs/run/version_0"))["val/loss"] == expected
