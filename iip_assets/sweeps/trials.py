"""Running a sweep: trial after trial, each a training through the engine under its settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from iip_assets.embeddings.device import core_count
from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.asset import Asset
from iip_assets.engine.lock import exclusive_lock
from iip_assets.engine.perform import BlockedError, MovedMeanwhileError
from iip_assets.engine.project import Project
from iip_assets.engine.trial_run import run_trial
from iip_assets.engine.values import Files, Operation
from iip_assets.engine.workspace import flat_settings, keyed_settings
from iip_assets.evaluation.evaluation import filter_validation, segmenter_validation
from iip_assets.evaluation.predictions import segmenter_columns
from iip_assets.images.decode import image_reader
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter import probabilities_of, scores_table
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.settings import Settings
from iip_assets.sweeps.plan import Plan, PlanError, settings_with, suggest
from iip_assets.sweeps.study import Done, Study, failures_in_a_row

_REPEATS = 30

# After so many trainings in a row that failed, something else is wrong than their settings.
_GIVE_UP = 3

# What the interval of a trial's quality hangs on.
_INTERVALS = ("evaluation.resamples", "evaluation.confidence", "evaluation.seed")
Say = Callable[[str], None]


def latency_ms(files: Mapping[str, bytes], *, threads: int) -> float:
    """Milliseconds of one forward pass of one image: the least of 30 on ONNX Runtime's CPU.

    Whatever else the machine does only ever adds to it. `threads` work inside an operator.
    """
    card = json.loads(files["card.json"])
    model = next(data for name, data in files.items() if name in ("filter.onnx", "segmenter.onnx"))
    shape = (1, 3, int(card["input_height"]), int(card["input_width"]))
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    session = open_session(model, threads=threads)
    took = []
    for repeat in range(_REPEATS + 3):
        started = time.perf_counter()
        run(session, image)
        if repeat >= 3:  # the first ones arrange memory
            took.append(time.perf_counter() - started)
    return 1000 * min(took)


def quality_of(
    model: str, files: Files, examples: pl.DataFrame, *, root: Path, settings: Settings
) -> dict[str, float]:
    """`quality` with its interval, `low` and `high`; of one subject alone all three are the value.

    Of the examples that the filter or segmenter learned from, the validation images count; no test
    image is looked at.

    Raises:
        LookupError: There are no validation images.
    """
    held_out = examples.filter(pl.col("split") == "validation")
    if model == FILTER.name:
        said = _scores(files, held_out, root, settings)
        rows = filter_validation(held_out.join(said, on="image_id"), settings.evaluation)
    else:
        classes = settings.dataset.mask_classes
        counts = segmenter_columns(_segmented(files, held_out, root, settings), classes)
        known = held_out.join(counts, on="image_id")
        rows = segmenter_validation(known, classes, settings.evaluation)
    headline = rows.filter(pl.col("metric") == TASKS[model].headline, pl.col("value").is_not_null())
    if headline.is_empty():
        raise LookupError(f"there are no validation images to judge the {model} on")
    found = headline.row(0, named=True)
    ends = {end: found["value"] if found[end] is None else found[end] for end in ("low", "high")}
    return {"quality": found["value"], **ends}


def _scores(files: Files, held_out: pl.DataFrame, root: Path, settings: Settings) -> pl.DataFrame:
    ids = held_out["image_id"]
    scores = probabilities_of(
        held_out,
        files.parts,
        load_image=image_reader(root, ids, settings.dataset.max_megapixels),
        threads=core_count(settings.compute.threads),
    )
    return scores_table(ids.to_list(), scores)


def _segmented(
    files: Files, held_out: pl.DataFrame, root: Path, settings: Settings
) -> pl.DataFrame:
    """`image_id` and what `segment_chunk` gives."""
    store, threads = ImageStore.open(root), core_count(settings.compute.threads)
    store.fetch([*held_out["image_id"], *held_out["mask_id"]])
    records = segment_chunk(
        held_out.to_dicts(),
        max_megapixels=settings.dataset.max_megapixels,
        segmenter=Segmenter(files.parts, threads=threads),
        store=store,
        threads=threads,
    )
    return held_out.select("image_id").hstack(pl.DataFrame(records))


def sweep_folder(state: Path) -> Path:
    """Where a workspace keeps its sweeps."""
    return state / "sweeps"


def run_sweep(
    project: Project,
    plan: Plan,
    settings: Settings,
    *,
    force: bool,
    log: Say,
    after: Callable[[Study], None],
) -> list[Done]:
    """Runs what is left of a sweep, and gives its trials. What the workspace holds stays as it is.

    Args:
        project: The project.
        plan: The sweep.
        settings: What is not chosen.
        force: Forget what was tried before.
        log: Where words for people go.
        after: Called with what was found before, if anything was, and after each trial.

    Raises:
        PlanError: A setting that the model does not depend on, or a sweep that was begun
            otherwise.
        RuntimeError: The last trainings failed one after the other.
    """
    asset = TASKS[plan.model].asset
    _refuse_idle(project, asset, plan)
    # Code that is edited while the sweep goes on is not what its trials run.
    loaded = {name: project.code_of(one) for name, one in project.graph.assets.items()}
    folder = sweep_folder(project.workspace.state)
    with exclusive_lock(folder / f"{plan.name}.lock", log=log):
        study = Study.open(folder, plan, _made_of(project, asset, plan, settings), force=force)
        if study.done():
            # A kill may have come between the last trial and what is made of it.
            after(study)
        while (trial := study.next()) is not None:
            chosen = suggest(trial, plan.space)
            log(f"trial {trial.number} ({trial.number + 1} of {study.size}): {in_words(chosen)}")
            try:
                # Its run in W&B is of the sweep's group.
                grouped = {"tracking.group": f"sweep {plan.name}"}
                under = settings_with(settings, {**plan.fixed, **chosen, **grouped})
                record = run_trial(project, asset, under, loaded=loaded, log=log)
                facts = _facts(project, plan, record, under)
            except (MovedMeanwhileError, BlockedError, LookupError, OSError):
                raise  # no fault of the trial's, which is gone on with next time
            except Exception as error:
                study.failed(trial, f"{type(error).__name__}: {error}")
                log(f"  failed: {error}")
            else:
                study.succeeded(trial, **facts)
                log(
                    f"  {TASKS[plan.model].headline} {facts['quality']:.3f} "
                    f"({facts['low']:.3f} to {facts['high']:.3f}), {facts['latency_ms']:.1f} ms "
                    f"an image, {facts['seconds']:.0f} s"
                )
            after(study)
            if failures_in_a_row(study.done()) >= _GIVE_UP:
                raise RuntimeError(
                    f"the last {_GIVE_UP} trainings failed: {study.done()[-1].reason}"
                )
        return study.done()


def in_words(values: dict[str, Any]) -> str:
    """Settings and values in a line."""
    return ", ".join(
        f"{path} = {value:.4g}" if isinstance(value, float) else f"{path} = {value}"
        for path, value in values.items()
    )


def _facts(
    project: Project, plan: Plan, record: ActionRecord, settings: Settings
) -> dict[str, Any]:
    """What came of a training under the trial's settings."""
    if record.skipped:
        raise LookupError(f"there is no {plan.model} to train: {record.skipped}")
    workspace, examples = project.workspace, TASKS[plan.model].examples
    files = workspace.artifacts.get(record.artifact)
    assert isinstance(files, Files)  # a model is
    learned = workspace.kept(examples, record.inputs[examples])
    assert learned is not None  # the training loaded it
    quality = quality_of(
        plan.model,
        files,
        workspace.artifacts.get(learned.artifact),
        root=workspace.root,
        settings=settings,
    )
    return {
        **quality,
        "latency_ms": latency_ms(files.parts, threads=core_count(settings.compute.threads)),
        "seconds": record.seconds,
        "action_key": record.action_key,
    }


def _made_of(project: Project, asset: str, plan: Plan, settings: Settings) -> dict[str, Any]:
    """Data, code and settings of every trial, so that all are of the same but for the choices."""
    root = project.workspace.root
    above, assets = project.graph.above([asset]), _assets_above(project, asset)
    versions = {
        name: source.observe(root)
        for name, source in project.graph.sources.items()
        if name in above
    }
    codes = {
        f"code of {name}": project.code_keys.of(one.function).key for name, one in assets.items()
    }
    codes["code of the quality"] = project.code_keys.of(quality_of).key
    read = keyed_settings(settings, {*_read_by(assets), *_INTERVALS})
    chosen = plan.space.keys() | plan.fixed.keys()
    others = {path: value for path, value in flat_settings(read).items() if path not in chosen}
    return {**versions, **codes, **others}


def _assets_above(project: Project, asset: str) -> dict[str, Asset[..., Any]]:
    above = project.graph.above([asset])
    return {name: one for name, one in project.graph.assets.items() if name in above}


def _read_by(assets: Mapping[str, Asset[..., Any]]) -> set[str]:
    """The settings that computing the assets takes."""
    return {path for one in assets.values() for path in one.compute.settings.values()}


def _refuse_idle(project: Project, asset: str, plan: Plan) -> None:
    """A setting that nothing above the model reads would train the same model again."""
    read = _read_by(_assets_above(project, asset))
    for path in plan.space:
        covered = any(path == one or path.startswith(f"{one}.") for one in read)
        if not covered or _is_operation(path):
            raise PlanError(
                f"the {plan.model} does not depend on {path}; take it out of the sweep's space"
            )


def _is_operation(path: str) -> bool:
    """Whether a setting says how work is done and not what comes of it."""
    section, _, name = path.partition(".")
    part = Settings.model_fields[section]
    marks = [*part.metadata, *type(part.default).model_fields[name].metadata]
    return any(isinstance(one, Operation) for one in marks)
