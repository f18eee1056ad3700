"""Every setting of a workspace: iip.toml and IIP_* variables, read once into frozen, typed values.

Values only, no behaviour: an asset's key holds the values that it declares, so this module is not
part of anyone's code. A field marked `OPERATION` says how work is done and enters no key; a field
that is added to a section later is marked `AsBefore(value)`, so that it makes nothing stale. A
setting may be overridden by a variable such as `IIP_FILTER__SEED=7`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from iip_assets.engine.values import Operation, Setting

Share = float
OPERATION = Operation()


class Section(BaseModel):
    """A frozen section of iip.toml that refuses words it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSettings(Section):
    """What an image and a mask may be."""

    mask_classes: tuple[str, ...] = ("background", "sclera", "iris", "pupil")
    max_megapixels: float = Field(default=50.0, gt=0)
    # Of 256. At 40, copies match (re-encoded, resized, brightened) and, in 10,000 eye crops, no two
    # different eyes; from 44 on, different eyes begin to.
    near_duplicate_bits: int = Field(default=40, ge=0, le=128)
    max_undecodable_share: Share = Field(default=0.05, ge=0, le=1)


class IngestSettings(Section):
    """How a batch joins the data."""

    commit: bool = True
    max_jump: float = Field(default=10.0, gt=0)


class AutomationSettings(Section):
    """How often the sensors look, and how often they try."""

    interval_s: int = Field(default=30, ge=1)
    attempts: int = Field(default=3, ge=1)


class AlarmSettings(Section):
    """Where alarms go besides the log."""

    # No pattern: a wrong address would make all settings wrong, and then no alarm is even logged.
    webhook: str = ""


class SplitSettings(Section):
    """How subjects are dealt to training, validation and test."""

    salt: str = "iip"
    train: Share = 0.7
    validation: Share = 0.15
    test: Share = 0.15

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitSettings:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, they are {total:g}")
        return self


class SliceSettings(Section):
    """The axes on which everything is looked at."""

    age_bands: tuple[int, ...] = (0, 13, 18, 30, 45, 60, 75)
    axes: tuple[str, ...] = (
        "age_band",
        "gender",
        "ethnicity",
        "geography",
        "device",
        "lighting",
        "background",
    )


class StatisticsSettings(Section):
    """Levels that turn a measure into a word."""

    dark_below: float = 70.0
    bright_above: float = 185.0
    # 0.6: one corner of the image has four times the light of the opposite one.
    uneven_above: float = 0.6
    # Shares of the border region that are edges.
    plain_background_below: float = 0.08
    cluttered_background_above: float = 0.2


class CoverageSettings(Section):
    """The mix that the data is meant to reach, by axis and value, as shares of the known values."""

    target: dict[str, dict[str, Share]] = Field(default_factory=dict)
    # A value counts as short when its share is below target × (1 − tolerance).
    tolerance: Share = Field(default=0.5, gt=0, le=1)
    min_images: int = Field(default=30, ge=1)


class EmbeddingSettings(Section):
    """The backbone: a timm model name, with its packaged weights or a checkpoint of your own."""

    model: str = "tf_efficientnet_lite0"
    checkpoint: str = "packaged"
    checkpoint_sha256: str = ""
    width: int = Field(default=128, ge=0)
    height: int = Field(default=96, ge=0)
    batch_size: Annotated[int, OPERATION] = Field(default=16, ge=1)


class EdgeCaseSettings(Section):
    """The map and the clusters."""

    neighbors: int = Field(default=15, ge=2)
    min_dist: float = Field(default=0.05, ge=0)
    min_cluster_size: int = Field(default=12, ge=2)
    seed: int = 0
    edge_share: Share = Field(default=0.05, ge=0, le=1)
    sheet_images: int = Field(default=12, ge=1)


class TrainingSetSettings(Section):
    """How far balance may go."""

    axes: tuple[str, ...] = ("age_band", "gender", "ethnicity")
    max_weight: float = Field(default=5.0, ge=1)
    # The mix of cells to train on: all alike, or the mix of coverage.target.
    toward: Literal["uniform", "target"] = "uniform"
    memory: Literal["all", "newer", "window"] = "all"
    half_life_days: float = Field(default=180.0, gt=0)
    window_days: float = Field(default=365.0, gt=0)


class TrainingSettings(Section):
    """How both models are trained, whatever they are."""

    precision: Literal["auto", "64-true", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    processes: Annotated[int, OPERATION] = Field(default=1, ge=1)
    sharing: Annotated[Literal["ddp", "fsdp"], OPERATION] = "ddp"
    checks: Annotated[Literal["long", "always", "never"], OPERATION] = "long"


class FilterSettings(Section):
    """The filter: a head on image embeddings, or a whole network."""

    train: Literal["head", "network"] = "head"
    network: str = ""
    teacher: str = ""
    teacher_share: Share = Field(default=0.5, ge=0, le=1)
    width: int = Field(default=128, ge=32)
    height: int = Field(default=96, ge=32)
    network_epochs: int = Field(default=12, ge=1)
    network_learning_rate: float = Field(default=0.0005, gt=0)
    epochs: int = Field(default=60, ge=1)
    patience: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=0.003, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    batch_size: int = Field(default=64, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _a_head_has_no_teacher(self) -> FilterSettings:
        if self.train == "head" and (self.teacher or self.network):
            raise ValueError('teacher and network are for train = "network"')
        return self


class ThresholdSettings(Section):
    """From what score on an image goes to the segmenter."""

    usable: tuple[Literal["full", "partial", "none"], ...] = Field(
        default=("full",), min_length=1, max_length=2
    )
    lost_iris_cost: float = Field(default=1.0, gt=0)
    failed_segmentation_cost: float = Field(default=1.0, gt=0)


class SegmenterSettings(Section):
    """The segmenter: a U-Net on a timm encoder."""

    encoder: str = "tf_efficientnet_lite0"
    decoder_channels: tuple[int, ...] = Field(default=(64, 48, 32, 24), min_length=4, max_length=5)
    width: int = Field(default=192, ge=32, multiple_of=32)
    height: int = Field(default=128, ge=32, multiple_of=32)
    two_pass: bool = True
    epochs: int = Field(default=22, ge=1)
    patience: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=0.003, gt=0)
    batch_size: int = Field(default=16, ge=2)
    teacher: str = ""
    teacher_share: Share = Field(default=0.5, ge=0, le=1)
    seed: int = 0


class TrackingSettings(Section):
    """Where trainings are logged, which changes nothing about them."""

    wandb: Literal["auto", "offline", "online", "off"] = "auto"
    project: str = Field(default="iip", min_length=1)
    group: str = ""


class EvaluationSettings(Section):
    """Intervals and the least size of a slice that is judged."""

    resamples: int = Field(default=300, ge=50)
    confidence: Share = Field(default=0.95, gt=0.5, lt=1)
    min_slice_images: int = Field(default=10, ge=1)
    seed: int = 0


class RareClassSettings(Section):
    """Which classes are rare in training; either is reason enough."""

    min_share: Share = Field(default=0.05, ge=0, le=1)
    min_subjects: int = Field(default=20, ge=0)


class BatchVerdictSettings(Section):
    """Which batches are judged, and how often the head is trained for it."""

    batches: int = Field(default=12, ge=1)
    seeds: int = Field(default=3, ge=1)


class ExplanationSettings(Section):
    """How many predictions are explained, and how finely."""

    images: int = Field(default=8, ge=1)
    sample: int = Field(default=12, ge=0)
    cells: int = Field(default=7, ge=2, le=64)
    seed: int = 0


class RobustnessSettings(Section):
    """Which corruptions, and on how many held-out images."""

    corruptions: tuple[str, ...] = ("blur", "rotation", "colour_filter", "noise", "jpeg")
    max_images: int = Field(default=60, ge=1)
    group_axis: str = "ethnicity"
    seed: int = 0


class DriftSettings(Section):
    """When a feature counts as moved."""

    columns: tuple[str, ...] = (
        "brightness",
        "contrast",
        "sharpness",
        "noise",
        "saturation",
        "colour_cast",
        "iris_visibility",
        "pupil_ratio",
    )
    threshold: float = Field(default=0.1, gt=0)
    min_images: int = Field(default=5, ge=2)
    seed: int = 0
    max_share: Share = Field(default=0.5, gt=0, le=1)


class ReleaseSettings(Section):
    """What a model must show before it takes the champion's place."""

    margin: float = Field(default=0.02, ge=0, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    resamples: int = Field(default=2000, ge=100)
    protected_axes: tuple[str, ...] = ("age_band", "gender", "ethnicity", "geography", "device")
    seed: int = 0


class ComputeSettings(Section):
    """Where the work is done. `auto` takes a GPU where the machine has one."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, OPERATION] = Field(default=0, ge=0)


class StorageSettings(Section):
    """Where artifacts lie: a folder of the workspace, or any URL that fsspec opens."""

    artifacts: str = ".iip/artifacts"


class Settings(Section):
    """All of iip.toml."""

    dataset: DatasetSettings = DatasetSettings()
    ingest: Annotated[IngestSettings, OPERATION] = IngestSettings()
    automation: Annotated[AutomationSettings, OPERATION] = AutomationSettings()
    alarms: Annotated[AlarmSettings, OPERATION] = AlarmSettings()
    splits: SplitSettings = SplitSettings()
    slices: SliceSettings = SliceSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    coverage: CoverageSettings = CoverageSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    edge_cases: EdgeCaseSettings = EdgeCaseSettings()
    training_set: TrainingSetSettings = TrainingSetSettings()
    training: TrainingSettings = TrainingSettings()
    filter: FilterSettings = FilterSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    segmenter: SegmenterSettings = SegmenterSettings()
    tracking: Annotated[TrackingSettings, OPERATION] = TrackingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    rare_classes: RareClassSettings = RareClassSettings()
    batch_verdict: BatchVerdictSettings = BatchVerdictSettings()
    explanation: ExplanationSettings = ExplanationSettings()
    robustness: RobustnessSettings = RobustnessSettings()
    drift: DriftSettings = DriftSettings()
    release: ReleaseSettings = ReleaseSettings()
    compute: ComputeSettings = ComputeSettings()
    storage: Annotated[StorageSettings, OPERATION] = StorageSettings()


MaskClasses = Annotated[tuple[str, ...], Setting("dataset.mask_classes")]
MaxMegapixels = Annotated[float, Setting("dataset.max_megapixels")]
AgeBands = Annotated[tuple[int, ...], Setting("slices.age_bands")]
SliceAxes = Annotated[tuple[str, ...], Setting("slices.axes")]
ProtectedAxes = Annotated[tuple[str, ...], Setting("release.protected_axes")]
GroupAxis = Annotated[str, Setting("robustness.group_axis")]
CoverageTolerance = Annotated[float, Setting("coverage.tolerance")]
Evaluation = Annotated[EvaluationSettings, Setting("evaluation")]
Compute = Annotated[ComputeSettings, Setting("compute")]
Threads = Annotated[int, Setting("compute.threads")]
Tracking = Annotated[TrackingSettings, Setting("tracking")]


class SettingsError(ValueError):
    """iip.toml, or a variable over it, says something that is no setting."""


def read_settings(root: Path) -> Settings:
    """The settings of the workspace at `root`: iip.toml, then variables such as IIP_FILTER__SEED.

    `compute.device = "auto"` is resolved here, so that an asset which declares it has the device in
    its key.

    Raises:
        SettingsError: The file is missing or no TOML, or a value is not what the setting takes.
    """
    file = root / "iip.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{file} is missing; `iip init {root}` writes one") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not UTF-8 text: {error}") from None
    return _parse(str(file), text, _overrides())


def settings_at(text_of: Callable[[str], str]) -> Settings:
    """The settings at a git revision, under the variables of now.

    Settings that are no more are left out, as whoever asks can do nothing about them.

    Args:
        text_of: Gives the text of a file of the workspace there.

    Raises:
        SettingsError: The file was no TOML, or a value was not what the setting takes.
    """
    return _parse("iip.toml", text_of("iip.toml"), _overrides(), forgiving=True)


def _overrides() -> tuple[tuple[str, str], ...]:
    """Variables that override a setting."""
    return tuple(
        sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith("IIP_") and "__" in name
        )
    )


@lru_cache(maxsize=8)
def _parse(
    file: str, text: str, overrides: tuple[tuple[str, str], ...], *, forgiving: bool = False
) -> Settings:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is no valid TOML: {error}") from error
    for name, value in overrides:
        section, _, key = name.removeprefix("IIP_").lower().partition("__")
        if not isinstance(values.setdefault(section, {}), dict):
            raise SettingsError(f"{file}: {section} must be a section, [{section}], for {name}")
        values[section][key] = _as_toml(value)
    settings = _validate(file, values, forgiving=forgiving)
    if settings.compute.device != "auto":
        return settings
    device = "cuda" if Path("/dev/nvidiactl").exists() else "cpu"
    return settings.model_copy(
        update={"compute": settings.compute.model_copy(update={"device": device})}
    )


def _validate(file: str, values: dict[str, Any], *, forgiving: bool) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        unknown = [one["loc"] for one in problems if one["type"] == "extra_forbidden"]
        if forgiving and unknown:
            for *sections, name in unknown:
                place = values
                for section in sections:
                    place = place[str(section)]
                del place[str(name)]
            return _validate(file, values, forgiving=False)
        lines = [
            f"  {'.'.join(str(part) for part in problem['loc'])} = "
            f"{problem['input']!r}: {problem['msg']}"
            for problem in problems
        ]
        raise SettingsError(
            "\n".join([f"{file} (or an IIP_* variable) has wrong settings:", *lines])
        ) from None


def _as_toml(text: str) -> Any:
    """The value as TOML reads it; text that is no TOML value is meant as text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
