"""Which network a command exports: a checkpoint, published weights, an ensemble, or the numpy network."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace

from lit_a1.data.sources.drawn import SIDE
from lit_a1.export.card import WeightsInfo, weights_info
from lit_a1.export.graph import ExportedModel, exported_cnns, exported_mlp
from lit_a1.flags import experiment_of
from lit_a1.mlp.setup import Setup, load_weights, run_state
from lit_a1.models import Classifier, Ensemble
from lit_a1.models.ensemble import NO_CHECKPOINT
from lit_a1.models.members import load_member
from lit_a1.runs.checkpoints import check_fits, read
from lit_a1.runs.folders import resolve
from lit_a1.runs.settings import UsageError, build


def load_cnns(settings: Namespace) -> tuple[str, ExportedModel, list[WeightsInfo]]:
    """The experiment, its networks and what is known of them, from the settings of `validate`; needs no images.

    Raises:
        UsageError: a setting is invalid.
        CheckpointError: there are no such weights, or they are of another network.
    """
    model = build(Classifier, settings.model)
    data: Mapping[str, Any] = settings.data.init_args.as_dict()
    logs, name = experiment_of(settings, data["source"] == "drawn")
    ckpt_path = settings.get("ckpt_path")
    if isinstance(model, Ensemble):
        if ckpt_path:
            raise UsageError(NO_CHECKPOINT)
        members = model.members
    else:
        path = resolve(ckpt_path, logs / name)
        check_fits(read(path), model, path)
        members = [load_member(path)]
    infos = [weights_info(m.path, m.epoch, m.training, dict(m.model.hparams)) for m in members]
    if not isinstance(model, Ensemble) and model.views != members[0].model.views:
        members[0].model.views = model.views
        infos = [infos[0]._replace(errors=[])]  # they were measured in other views
    return name, exported_cnns(members, data.get("decode_size", SIDE), members[0].data["classes"]), infos


def load_mlp(setup: Setup, ckpt_path: str | None) -> tuple[str, ExportedModel, list[WeightsInfo]]:
    """Like `load_cnns`, for the numpy network and a `--ckpt_path`; raises as `resolve` and `load_weights`."""
    runs = setup.runs(setup.source == "drawn")
    path = resolve(ckpt_path, runs, suffix=".npz")
    load_weights(net := setup.like(path).network(), path)
    return runs.name, exported_mlp(net), [weights_info(path, net.epoch, run_state(path), {})]
