"""A sweep's search: a study in Optuna whose trials are suggested, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from srcnn_mlflow.machine.errors import SweepError
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking.study import Place, SharedStudy, counted
from srcnn_mlflow.training.search_space import recipe, suggest

STARTUP_TRIALS = 5
# Trials are compared by the tenth of their training, so that they may differ in epochs.
TENTHS = 10
WARM_UP_TENTHS = 3
SUGGESTIONS = 100


class Search(SharedStudy):
    """A study whose trials have values of the search space, poor ones ended early."""

    def __init__(
        self, place: Place, terms: Mapping[str, Any], before: Mapping[str, Any] | None = None
    ) -> None:
        """Begin or join a search, as any study."""
        super().__init__(place, terms, before, make_pruner())

    def finished(self) -> list[FrozenTrial]:
        """Trials that count: trained to the end, or pruned."""
        return self.trials(TrialState.COMPLETE, TrialState.PRUNED)

    def best(self) -> FrozenTrial | None:
        """The complete trial with the highest value; None before there is one."""
        ranking = self.ranking()
        return ranking[0] if ranking else None

    def ranking(self) -> list[FrozenTrial]:
        """Complete trials, the best first."""
        return sorted(self.trials(TrialState.COMPLETE), key=lambda trial: -trial.values[0])

    def suggested(self, wanted: int, seed: int) -> Trial | None:
        """A trial for this process to run: one that a dead process left, or else a new one.

        Args:
            wanted: number of trials that the study is to have.
            seed: of what is suggested.

        Returns:
            The trial, whose parameters are set; None where no further trial is wanted.
        """

        def begin() -> Trial | None:
            trial = self._begin(wanted, seed)
            if trial is not None:
                suggest(trial)
            return trial

        def is_surplus(trial: Trial) -> bool:
            return self._is_surplus(trial.number, trial.params, wanted)

        trial = self.take(begin, lambda _: True, is_surplus)
        if trial is not None:
            suggest(trial)
        return trial

    def _begin(self, wanted: int, seed: int) -> Trial | None:
        trials = self.trials()
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if len(counted(trials)) - len(waiting) >= wanted:
            return None
        if not waiting:
            # Signed before it runs: whoever is killed in between leaves a trial that says so.
            values = propose(trials, seed) if trials else recipe()
            self._study.enqueue_trial(values, user_attrs=ProcessSign.own().tags())
        return self._study.ask()

    def _is_surplus(self, number: int, values: Mapping[str, Any], wanted: int) -> bool:
        earlier = [trial for trial in counted(self.trials()) if trial.number < number]
        return len(earlier) >= wanted or any(trial.params == values for trial in earlier)


def make_pruner() -> MedianPruner:
    """End a trial that is below the median of the others after the same share of the training."""
    return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARM_UP_TENTHS)


def propose(trials: Sequence[FrozenTrial], seed: int) -> dict[str, Any]:
    """Values that no trial has had, by the tree-structured Parzen estimator.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011; trials that still run
    count as poor ones, so that several processes do not try the same corner.

    Args:
        trials: all trials of the study.
        seed: with the number of trials, decides what is suggested at random.

    Raises:
        SweepError: nearly everything has been tried.
    """
    tried = [trial.params for trial in trials]
    begun = [trial for trial in trials if trial.state != TrialState.WAITING]
    start = int(np.random.default_rng((seed, len(trials))).integers(2**31))
    # Suggested in a draft, so that what is thrown away leaves no trial in the study.
    draft = optuna.create_study(
        direction="maximize",
        sampler=TPESampler(n_startup_trials=STARTUP_TRIALS, seed=start, constant_liar=True),
    )
    draft.add_trials(begun)
    for _ in range(SUGGESTIONS):
        values = suggest(draft.ask())
        if values not in tried:
            return values
    raise SweepError(
        f"{SUGGESTIONS} suggestions in a row were settings that have been tried; ask for no more "
        f"than the {len(trials)} trials there are"
    )
