"""A run's settings in its folder: `config.yaml` and `hparams.yaml`, each written whole or not at all."""

from pathlib import Path

import lightning as L
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import TensorBoardLogger

from lit_a1.callbacks.record import run_folder
from lit_a1.data.files import replacing, write_text


class RunConfig(SaveConfigCallback):
    """Writes `config.yaml` to a run's folder, whole or not at all; it describes a new run, even if this one resumes."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Writes the file."""
        folder = run_folder(trainer)  # `trainer.log_dir` would wait for other devices
        assert folder is not None
        config = self.config.clone()
        config["ckpt_path"] = None
        write_text(folder / self.config_filename, self.parser.dump(config, skip_none=False, skip_validation=True))


def save_hparams(logger: TensorBoardLogger) -> None:
    """Writes `hparams.yaml` to a run's folder if there is none, whole or not at all, unlike Lightning."""
    if not (path := Path(logger.log_dir, logger.NAME_HPARAMS_FILE)).exists():
        with replacing(path) as unfinished:
            save_hparams_to_yaml(unfinished, logger.hparams)
