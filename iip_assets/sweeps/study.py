"""A sweep's memory: Optuna's study in SQLite, which goes on in any process after a kill."""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from iip_assets.sweeps.plan import Objective, Plan, PlanError, grid, values_of

DATABASE = "sweeps.db"

_DIRECTIONS: dict[Objective, Literal["maximize", "minimize"]] = {
    "quality": "maximize",
    "latency": "minimize",
}
# Numbers that are kept beside a trial's objectives.
_KEPT = ("low", "high", "latency_ms", "seconds", "action_key", "reason")


@dataclass(frozen=True)
class Done:
    """A trial that has ended."""

    number: int  # from 0
    values: Mapping[str, Any]  # of the settings that were chosen
    quality: float | None  # on the validation images; None where the training failed
    low: float | None  # lower end of its interval
    high: float | None  # upper end
    latency_ms: float | None  # of one image
    seconds: float | None  # that it took
    action_key: str | None  # of the action that trained it
    reason: str | None  # why it failed, if it did
    best: bool  # whether none is better: in quality, or on the front of both objectives


class Study:
    """A sweep and its trials."""

    def __init__(self, study: optuna.Study, plan: Plan) -> None:
        self._study = study
        self.plan = plan

    @classmethod
    def open(cls, folder: Path, plan: Plan, made_of: Mapping[str, Any], *, force: bool) -> Study:
        """The sweep's study in the folder with the database, begun if there is none.

        `made_of` is what its trainings are made of besides the choices, by name; `force` forgets
        what was tried before.

        Raises:
            PlanError: It was begun with another plan, data, code or settings.
        """
        storage = _storage(folder)
        names = optuna.get_all_study_names(storage)
        if force and plan.name in names:
            optuna.delete_study(study_name=plan.name, storage=storage)
            names.remove(plan.name)
        begun = plan.name not in names
        study = optuna.create_study(
            study_name=plan.name,
            storage=storage,
            load_if_exists=True,
            directions=[_DIRECTIONS[one] for one in plan.objectives],
        )
        parts = {"plan": plan.words(), "made_of": dict(made_of)}
        # A process that was killed between the two left a study without words.
        if begun or not study.user_attrs:
            for name, value in parts.items():
                study.set_user_attr(name, json.dumps(value, sort_keys=True))
        _refuse_other(plan.name, study, parts)
        if plan.sampler == "grid":
            for params in grid(plan.space):
                study.enqueue_trial(params, skip_if_exists=True)
        return cls(study, plan)

    @property
    def size(self) -> int:
        """How many trials there will be."""
        if self.plan.sampler == "grid":
            return min(self.plan.trials, len(grid(self.plan.space)))
        return self.plan.trials

    def next(self) -> Trial | None:
        """A trial to work on: one that a killed process left, else a new one; None at the end.

        What is chosen depends on the seed and on the trials before it, not on kills.
        """
        trials = self._study.get_trials(deepcopy=False)
        left = [one for one in trials if one.state == TrialState.RUNNING]
        number = left[0].number if left else sum(one.state != TrialState.WAITING for one in trials)
        if number >= self.size:
            return None
        with _quiet():
            self._study.sampler = _sampler(self.plan, number)
            if left:
                return Trial(self._study, left[0]._trial_id)
            return self._study.ask()

    def succeeded(self, trial: Trial, **facts: Any) -> None:
        """Ends a trial: `quality`, and whatever else `Done` has."""
        for name in _KEPT:
            if facts.get(name) is not None:
                trial.set_user_attr(name, facts[name])
        found = {"quality": facts["quality"], "latency": facts["latency_ms"]}
        with _quiet():
            self._study.tell(trial, [found[one] for one in self.plan.objectives])

    def failed(self, trial: Trial, reason: str) -> None:
        """Ends a trial whose training failed."""
        trial.set_user_attr("reason", reason)
        with _quiet():
            self._study.tell(trial, state=TrialState.FAIL)

    def done(self) -> list[Done]:
        """The trials that have ended, in order."""
        return done_trials(self._study, self.plan)

    def importances(self) -> dict[str, float]:
        """How much each setting matters, as far as that can be told."""
        return importances(self._study)


def done_trials(study: optuna.Study, plan: Plan) -> list[Done]:
    """The trials of a study that have ended, in order."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.FAIL])
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    best: set[int] = set()
    if complete and len(plan.objectives) > 1:
        best = {one.number for one in study.best_trials}
    elif complete:
        best = {study.best_trial.number}
    return [_done(one, plan, best) for one in sorted(trials, key=lambda one: one.number)]


def importances(study: optuna.Study) -> dict[str, float]:
    """How much of the spread in quality each setting explains; none of fewer than eight trials.

    Functional ANOVA on a forest (Hutter, Hoos and Leyton-Brown 2014). PED-ANOVA, which asks what
    lifts a trial into the top tenth, has one trial there of ten, and gave noise.
    """
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(complete) < 8:
        return {}
    with _quiet():
        found = optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
            target=lambda trial: trial.values[0],
        )
    return {path: float(share) for path, share in found.items()}


def known_studies(folder: Path) -> list[optuna.Study]:
    """All studies of a workspace, by name."""
    if not (folder / DATABASE).is_file():
        return []
    storage = _storage(folder)
    names = sorted(optuna.get_all_study_names(storage))
    return [optuna.load_study(study_name=name, storage=storage) for name in names]


def load_study(folder: Path, name: str) -> tuple[optuna.Study, Plan]:
    """A study and its plan.

    Raises:
        LookupError: There is none of that name.
    """
    for study in known_studies(folder):
        if study.study_name == name and "plan" in study.user_attrs:
            words = json.loads(study.user_attrs["plan"])
            trials = len(study.get_trials(deepcopy=False))
            return study, Plan.model_validate({**words, "name": name, "trials": max(1, trials)})
    known = ", ".join(one.study_name for one in known_studies(folder)) or "none"
    raise LookupError(f"there is no sweep {name!r}; there are: {known}")


def _done(trial: FrozenTrial, plan: Plan, best: set[int]) -> Done:
    kept = {name: trial.user_attrs.get(name) for name in _KEPT}
    return Done(
        number=trial.number,
        values=values_of(trial.params, plan.space),
        quality=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        best=trial.number in best,
        **kept,
    )


def _refuse_other(name: str, study: optuna.Study, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Trials are compared, so all of them must be of one plan, data and code."""
    for part, now in parts.items():
        then = json.loads(study.user_attrs.get(part, "{}"))
        moved = sorted(
            key
            for key in then.keys() | now.keys()
            if then.get(key) != json.loads(json.dumps(now)).get(key)
        )
        if moved:
            raise PlanError(
                f"the sweep {name} was begun with another {' and another '.join(moved)}, and its "
                "trials are compared with one another; give the file another name, or forget them "
                "with --again"
            )


def _storage(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return f"sqlite:///{folder / DATABASE}"


class _SafeCmaEsSampler(CmaEsSampler):
    """CMA-ES that takes its state out of the database without running what may stand in it.

    Optuna keeps the state as a pickle, and whoever opens another team's workspace would run
    whatever that holds. Here it may hold the optimizer and arrays of numbers.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        for trial in reversed(completed_trials):
            kept = {
                name: value
                for name, value in trial.system_attrs.items()
                if name.startswith(self._attr_key_optimizer)
            }
            if kept:
                pickled = bytes.fromhex(self._concat_optimizer_attrs(kept))
                return _OptimizerUnpickler(io.BytesIO(pickled)).load()
        return None


class _OptimizerUnpickler(pickle.Unpickler):
    _ALLOWED = frozenset(
        {
            ("cmaes._cma", "CMA"),
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise PlanError(
                f"{DATABASE} holds {module}.{name} in the place of the state of CMA-ES; that is "
                "not loaded, since it could run anything: forget the sweep's trials with --again"
            )
        return super().find_class(module, name)


def _sampler(plan: Plan, number: int) -> BaseSampler:
    """Seeded by trial, so that a sweep which was killed goes on as it would have."""
    seed = (plan.seed * 1_000_003 + number) % 2**32
    match plan.sampler:
        case "cmaes":
            return _SafeCmaEsSampler(seed=seed)
        case "nsga2":
            return NSGAIISampler(seed=seed, population_size=_share(plan.trials, least=4, most=50))
        case "tpe":
            return TPESampler(seed=seed, n_startup_trials=_share(plan.trials, least=3, most=10))
    return RandomSampler(seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's words about what is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _share(trials: int, *, least: int, most: int) -> int:
    """A third of the trials: a search needs several rounds to be one."""
    return max(least, min(most, trials // 3))


def failures_in_a_row(done: Sequence[Done]) -> int:
    """How many of the last trials failed."""
    count = 0
    for one in reversed(done):
        if one.reason is None:
            break
        count += 1
    return count
