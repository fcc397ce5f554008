"""The runs of docs/runs.csv compared like for like: themes, bases, the noise, verdicts.

A setting is all runs of one version of a recipe with the same changes and the same length; of runs with the same seed
the newest counts. It is compared with its base, the setting that differs from it in nothing but the idea.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import mean
from typing import NamedTuple

from scipy import stats

from lit_a1.runs.significance import ALPHA, holm

Row = dict[str, str]
TRIAL = "catsdogs_trial"
ENSEMBLE = "catsdogs_ensemble"
RECIPES = ("catsdogs", "catsdogs_muon", "catsdogs_long", "catsdogs_tuned", "catsdogs_gpu", "catsdogs_best")
CONFIGS = (TRIAL, *RECIPES, ENSEMBLE)
FREEDOM = 4  # degrees of freedom from which on the noise between seeds is known well enough
WIDEST = 40  # letters of a value, before its middle is left out


class Theme(NamedTuple):
    """What a section is about."""

    title: str
    names: frozenset[str]
    """Settings, one of which at least is changed."""
    needs: frozenset[str] = frozenset()
    """Settings that may have to change with them."""


def _theme(title: str, names: str, needs: str = "") -> Theme:
    return Theme(title, frozenset(names.split()), frozenset(needs.split()))


LENGTH = "max_epochs"
MACHINE = _theme(
    "Precision and compilation",
    "precision compile_net channels_last accelerator devices strategy num_nodes sync_norm workers eval_batch_size "
    "source check_val_every_n_epoch measure_train keep_on_device log_every_n_steps num_sanity_val_steps "
    "enable_model_summary",
)
THEMES = (  # the first that fits has the setting; one that none fits is of several themes
    _theme("Depth and width", "widths blocks stem_stride transition"),
    _theme("Activation and squeeze-and-excitation", "activation squeeze_excite"),
    _theme("Norms", "norm", "lr clip_gradient"),
    _theme("Optimiser", "optimizer momentum nesterov weight_decay clip_gradient", "lr schedule warmup final_factor"),
    _theme("Optimiser", "sam_radius sam_from"),
    _theme("Batch size", "batch_size", "lr warmup average_decay"),
    _theme("Learning rate and schedule", "lr schedule warmup final_factor"),
    _theme("Augmentation", "flip flip_seed"),  # each on its own
    _theme("Augmentation", "crop_scale crop_ratio"),
    _theme("Augmentation", "shift shift_padding"),
    _theme("Augmentation", "rotation"),
    _theme("Augmentation", "brightness contrast saturation grayscale"),
    _theme("Augmentation", "cutout cutout_ratio cutout_fill cutout_probability"),
    _theme("Augmentation", "mixup", "mix_probability mix_until"),
    _theme("Augmentation", "cutmix", "mix_probability mix_until"),
    _theme("Augmentation", "mix_probability mix_until"),
    _theme("Regularisation", "label_smoothing dropout stochastic_depth"),
    _theme("Averaging", "average_decay views precise_bn"),
    _theme("Picture size and its schedule", "size size_schedule decode_size eval_scale"),
    _theme("Length", LENGTH),
    _theme("Ensembles", "members"),
    _theme("Distillation", "teachers teacher_share teacher_size", "class_path start"),
    _theme("Fine-tuning", "start", "class_path lr"),
    MACHINE,
)
SEVERAL, OTHER = _theme("Several at once", ""), _theme("Other", "")
ORDER = (*THEMES[:-1], SEVERAL, OTHER, MACHINE)


@dataclass(frozen=True, eq=False)
class Setting:
    """The newest run of each seed."""

    runs: Sequence[Row]
    changes: Mapping[str, str]

    @property
    def recipe(self) -> tuple[str, str, int]:
        """Config, fingerprint, validation pictures: what is only compared where it is the same."""
        return self.runs[0]["config"], self.runs[0]["recipe"], int(self.runs[0]["val_pictures"])

    @property
    def measured(self) -> tuple[str, int]:
        """Config and validation pictures: where the noise is the same."""
        return self.runs[0]["config"], int(self.runs[0]["val_pictures"])

    @property
    def epochs(self) -> int:
        """How long each run took."""
        return int(self.runs[0]["epochs"])

    @property
    def names(self) -> frozenset[str]:
        """What is changed: `augment.flip` is `flip`, `size_schedule.0` is `size_schedule`."""
        return frozenset(map(_name, self.changes))

    @property
    def idea(self) -> frozenset[str]:
        """Likewise, but for the length and the switches of the machine."""
        return self.names - {LENGTH} - MACHINE.names

    @property
    def errors(self) -> list[float]:
        """Finite errors of the last epoch."""
        found = [float(run["last_val_error"] or "nan") for run in self.runs]
        return [error for error in found if isfinite(error)]

    @property
    def failure(self) -> str:
        """Why there is no mean over all runs; empty where there is one."""
        lost = len(self.runs) - len(self.errors)
        missing = any(run["best_val_error"] not in ("", "nan") and not run["last_val_error"] for run in self.runs)
        word = "not measured" if missing else "diverged"
        return "" if not lost else word if lost == len(self.runs) else f"partly {word} ({lost} of {len(self.runs)})"


class Noise(NamedTuple):
    """Of one run's error."""

    deviation: float
    freedom: float
    """Degrees of freedom that it is known with."""


class Compared(NamedTuple):
    """A setting against its base."""

    setting: Setting
    base: Setting | None
    difference: float = 0.0
    """Share of errors, minus the base's."""
    p: float | None = None
    """None where nothing can be compared."""
    holds: bool = False
    """After Holm's correction too."""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.setting.failure:
            return self.setting.failure
        if self.p is None:
            return "no base"
        if self.p >= ALPHA:
            return "inside the noise"
        return "better" if self.difference < 0 else "worse"


def _name(change: str) -> str:
    return change.removeprefix("augment.").partition(".")[0]


def parse_changes(text: str) -> dict[str, str]:
    """`lr=0.1, widths=[8, 8]` as `{"lr": "0.1", "widths": "[8, 8]"}`.

    Raises:
        SystemExit: it reads otherwise.
    """
    pairs = [part.partition("=") for part in re.split(r", (?=[\w.]+=)", text) if part]
    if not all(name and sign for name, sign, _ in pairs):
        raise SystemExit(f"error: a row of docs/runs.csv has the changes {text!r}; expected NAME=VALUE, NAME=VALUE")
    return {name: value for name, _, value in pairs}


def as_shipped(changes: str) -> bool:
    """Whether a run differs from its recipe in nothing but what a machine decides, such as precision or compilation."""
    return set(map(_name, parse_changes(changes))) <= MACHINE.names


def short(changes: Mapping[str, str]) -> str:
    """Changes for a narrow column: `blocks=[2,2]`, `size_schedule={0:32,8:48}`."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in changes.items():
        value = value.replace(", ", ",")
        value = value if len(value) <= WIDEST else f"{value[: WIDEST // 2]}…{value[-WIDEST // 2 :]}"
        parts[_name(name)][name.removeprefix("augment.").partition(".")[2]] = value
    words = []
    for name, values in parts.items():
        whole = values.pop("", None)
        inner = ",".join(f"{key}:{values[key]}" for key in sorted(values, key=lambda key: (len(key), key)))
        words.append(f"`{name}={whole if whole is not None else '{' + inner + '}'}`")
    return ", ".join(words) or "as it is"


def settings_of(rows: Sequence[Row]) -> list[Setting]:
    """All settings of rows that come oldest first, in that order."""
    groups: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        key = (row["config"], row["recipe"], row["val_pictures"], row["epochs"], row["changes"])
        groups[key][row["seed"]] = row
    return [Setting(list(runs.values()), parse_changes(key[-1])) for key, runs in groups.items()]


def theme_of(setting: Setting) -> Theme:
    """The first theme that has one changed setting at least, and allows for all others."""
    names = setting.idea or setting.names
    for theme in THEMES:
        if names & theme.names and names <= theme.names | theme.needs:
            return theme
    return SEVERAL if any(names & theme.names for theme in THEMES) else OTHER


def base_of(setting: Setting, settings: Sequence[Setting]) -> Setting | None:
    """The same recipe without the idea; the same length, too, unless that is the idea. None without such runs."""
    same = [each for each in settings if each.recipe == setting.recipe and not each.idea and not each.failure]
    plain = [each for each in same if not each.changes]
    if not setting.idea and LENGTH in setting.names:
        return max(plain, key=lambda each: each.epochs, default=None)
    switches = {name: value for name, value in setting.changes.items() if name in MACHINE.names}
    alike = [each for each in same if {**each.changes, LENGTH: ""} == {**switches, LENGTH: ""}] if setting.idea else []
    unswitched = [each for each in same if each.names <= {LENGTH}]
    if "members" in setting.idea:  # the epochs of an ensemble are its members'; their recipes as they are now count
        return max((*alike, *unswitched), key=lambda each: each.runs[-1]["finished"], default=None)
    return next((each for each in (*alike, *unswitched) if each.epochs == setting.epochs), None)


def noises(settings: Sequence[Setting]) -> dict[tuple[str, int], Noise]:
    """Standard deviation between seeds, pooled over all settings of a config that have several."""
    squares: dict[tuple[str, int], list[float]] = defaultdict(list)
    freedom: Counter[tuple[str, int]] = Counter()
    for setting in settings:
        if len(errors := setting.errors) > 1:
            squares[setting.measured] += [(error - mean(errors)) ** 2 for error in errors]
            freedom[setting.measured] += len(errors) - 1
    return {key: Noise(sqrt(sum(found) / freedom[key]), freedom[key]) for key, found in squares.items()}


def known(noise: Noise | None) -> bool:
    """Whether the noise between seeds can be reckoned with."""
    return noise is not None and noise.freedom >= FREEDOM and noise.deviation > 0


def p_value(setting: Setting, base: Setting, noise: Noise | None) -> float:
    """Two-sided, of d / (s sqrt(1/n + 1/m)) for means over n and m runs, by Student's t.

    s is the noise between seeds. Where it isn't known, it is the binomial sqrt(q (1 - q) / N), q the mean error over
    all runs and N the pictures. With pi_i the share of trainings that get picture i wrong, and pictures independent of
    each other, the variance between trainings is the mean of pi_i (1 - pi_i) over N, at most q (1 - q) / N.

    Source: Jordan 2023 ("Calibrated chaos: variance between runs of neural network training is harmless and
    inevitable", arXiv:2304.01910), who finds that independence.
    """
    if noise is None or not known(noise):
        q = mean(setting.errors + base.errors)
        noise = Noise(sqrt(q * (1 - q) / setting.recipe[2]), inf)
    difference = abs(mean(setting.errors) - mean(base.errors))
    deviation = noise.deviation * sqrt(1 / len(setting.errors) + 1 / len(base.errors))
    return 2 * float(stats.t.sf(difference / deviation, noise.freedom)) if deviation else 1.0


def compare(settings: Sequence[Setting]) -> list[Compared]:
    """All settings with a change against their bases."""
    noise, found = noises(settings), []
    for setting in settings:
        if setting.changes:
            base = base_of(setting, settings)
            each = Compared(setting, base)
            if base is not None and not setting.failure:
                p = p_value(setting, base, noise.get(setting.measured))
                each = Compared(setting, base, mean(setting.errors) - mean(base.errors), p)
            found.append(each)
    tested = [place for place, each in enumerate(found) if each.p is not None]
    for place, p in zip(tested, holm([each.p for each in found if each.p is not None]), strict=True):
        found[place] = found[place]._replace(holds=p <= ALPHA)
    return found
