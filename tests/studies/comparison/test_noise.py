"""What is tried against noise, on networks whose answer is known."""

import numpy as np
import torch

from lit_a1.layers import BatchNorm2d
from lit_a1.studies.comparison.changes import NOISES, noisy
from lit_a1.studies.comparison.networks import Network, load_network
from lit_a1.studies.comparison.noise import REMEDY_LEVELS, try_remedies
from lit_a1.studies.comparison.runs import find_experiments
from tests.studies.conftest import LOGS, Add, Splits


def test_a_network_that_minds_the_brightness_alone_is_mended_by_restoring_it() -> None:
    """It says 1 where an image is brighter than those without noise are, and 0 elsewhere, which is right."""
    test = torch.zeros(50, 1, 28, 28)
    test[:, :, 10:18, 10:18] = 1
    limit = float(test.mean()) + 0.02
    network = Network(lambda x: (x.mean((1, 2, 3)) > limit).long().numpy(), 1, 1)
    digits = np.zeros(50, np.int64)
    predictions = {level: network.predict(noisy(test, level))[None] for level in NOISES}
    found = try_remedies([network], test[:20], test, digits, predictions).set_index(["tried", "level"])
    assert found.error["nothing", 0.3] == 1
    assert (found.commonest["nothing", 0.3], found.share["nothing", 0.3]) == (1, 1)
    assert found.error["brightness", 0.3] == 0
    assert {level for tried, level in found.index if tried == "nothing"} == set(NOISES)
    assert {level for tried, level in found.index if tried == "brightness"} == set(REMEDY_LEVELS)
    assert "batch norm" not in found.index.get_level_values("tried")


def test_batch_norms_take_the_statistics_of_other_images_and_the_network_stays(add_run: Add, digits: Splits) -> None:
    for name in ("mlp", "mnist"):
        add_run(name, 0)
    add_run("mnist_none", 0, norm="none")
    experiments, _ = find_experiments(["mlp", "mnist", "mnist_none"], LOGS, "last", drawn=False)
    mlp, cnn, without = (load_network(runs[0]) for runs in experiments.values())
    images = noisy(torch.from_numpy(digits[0].images)[:, None] / 255, 0.3)
    assert mlp.with_statistics_of(images) is None
    assert without.with_statistics_of(images) is None
    before = cnn.predict(images)
    adapted = cnn.with_statistics_of(images)
    assert adapted is not None
    assert adapted.model is not None
    assert cnn.predict(images).tolist() == before.tolist()
    first = next(part for part in adapted.model.evaluated_net().modules() if isinstance(part, BatchNorm2d))
    standardised, net = adapted.model.evaluated_net()
    seen = net.stem[0][0](standardised(images))
    torch.testing.assert_close(first.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
