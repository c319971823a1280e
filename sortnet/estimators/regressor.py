"""A regressor whose value comes with bounds that no input of a ball can leave."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import RegressorMixin
from sklearn.model_selection import train_test_split
from torch import Tensor

from sortnet.evaluation import Certifier
from sortnet.models import CertifiedNet

from .base import Eps, SortNetEstimator
from .fitting import train
from .held_out import warn_unjudged
from .progress import bar
from .weights import sample_weights, to_the_mean

PAIRS = 20_000
QUANTILE = 0.9


class SortNetRegressor(RegressorMixin, SortNetEstimator):
    """A SortNet for numbers: y = offset + lipschitz * f(x), f 1-Lipschitz in units of the features.

    So the value moves by at most lipschitz * r where every feature moves by at most r units
    (docs/certificates.md): `predict_interval` gives bounds that hold for the rounded program.
    A smaller constant gives narrower intervals and a smoother fit.

    Args:
        lipschitz: how far y may move per unit of all features, > 0; "auto" takes the 90 % quantile
            of |y_i - y_j| / ||x_i - x_j|| over pairs of the training data (features in units,
            l-inf), which is a choice, not a bound; over the pairs that differ in y if that is 0.
        eps: what `predict_interval` and `export` use by default; it does not change the fit.
        unit, immutable, box, family, depth: as in `SortNetClassifier`, and so is all else; the
            network kept is the one with the smallest error on what is held out.

    Attributes:
        lipschitz_: the constant used, in y per unit. network_, box_low_, box_high_, unit_,
        n_features_in_, feature_names_in_, n_iter_, validation_score_: as in `SortNetClassifier`.
    """

    def __init__(
        self,
        eps: Eps = 0.1,
        *,
        lipschitz: Literal["auto"] | float = "auto",
        unit: Literal["range", "std"] | npt.ArrayLike = "range",
        immutable: Sequence[str] | Sequence[int] | npt.ArrayLike | None = None,
        box: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        family: Literal["sortnet", "linf-dist"] = "sortnet",
        depth: int = 3,
        width: int = 64,
        keep: float = 0.9,
        epochs: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 0.02,
        weight_decay: float = 0.02,
        validation_fraction: float = 0.15,
        patience: int | None = 6,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(
            eps,
            unit=unit,
            immutable=immutable,
            box=box,
            family=family,
            depth=depth,
            width=width,
            keep=keep,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            validation_fraction=validation_fraction,
            patience=patience,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.lipschitz = lipschitz

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> SortNetRegressor:
        """Train on X [N, D] and numbers y [N].

        Args:
            sample_weight: as in `SortNetClassifier.fit`.

        Warns with `NothingHeldOutWarning` where fewer than 4 samples would be held out.

        Raises:
            ValueError: what was wrong, and what was expected.
        """
        self._check_parameters()
        single, y = self._fit_data(X, y, y_numeric=True)
        y = np.asarray(y, np.float64)
        weight = to_the_mean(sample_weights(sample_weight, single))
        present = weight > 0
        single, y, weight = single[present], y[present], weight[present]
        seed = self._seed()
        offset = float(np.average(y, weights=weight))
        unit = self._find_unit(single)
        self.lipschitz_ = self._constant(single, y, unit, seed)
        config = self._configure(
            single,
            1,
            self.family,
            int(self.depth),
            scale=float(np.float32(self.lipschitz_)),
            offset=float(np.float32(offset)),
        )
        self.network_ = self._build(config, single, seed)
        every = np.arange(len(y))
        count = round(self.validation_fraction * len(y))
        learn, held = (every, every[:0])
        if count >= 4:
            learn, held = train_test_split(every, test_size=count, random_state=seed)
        elif self.validation_fraction:
            warn_unjudged("the last network was kept")
        data = [torch.from_numpy(a) for a in (single, y, weight)]
        size = float(np.std(y)) or 1.0

        def loss(
            net: CertifiedNet, x: Tensor, targets: Tensor, weights: Tensor, part: float
        ) -> Tensor:
            error = (net(x)[:, 0] - targets.float()) / size
            mean: Tensor = (weights * error.square()).sum() / weights.sum()
            return mean

        def judge(net: CertifiedNet) -> float:
            with torch.no_grad():
                error = net(data[0][held])[:, 0].double() - data[1][held]
            return -float((data[2][held] * error.square()).mean())

        with bar(self.verbose, "fitting") as report:
            self.n_iter_, self.validation_score_ = train(
                self.network_,
                data[0][learn],
                data[1][learn],
                data[2][learn],
                loss=loss,
                plan=self._plan(len(learn), seed),
                judge=judge if len(held) else None,
                report=report,
            )
        self._certifier = Certifier(self.network_)
        return self

    def _constant(
        self, X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], unit: Any, seed: int
    ) -> float:
        if not isinstance(self.lipschitz, str):
            if not isinstance(self.lipschitz, Real) or not 0 < self.lipschitz < np.inf:
                raise ValueError(f"lipschitz must be above 0 or 'auto', got {self.lipschitz!r}")
            return float(self.lipschitz)
        if self.lipschitz != "auto":
            raise ValueError(f"lipschitz must be above 0 or 'auto', got {self.lipschitz!r}")
        draw = np.random.default_rng(seed)
        first, second = draw.integers(0, len(X), (2, PAIRS))
        moved = unit > 0
        apart = np.abs(X[first][:, moved] - X[second][:, moved]) / unit[moved]
        distance = apart.max(axis=1)
        told = distance > 0
        slopes = np.abs(y[first] - y[second])[told] / distance[told]
        # Where most values are the same, those that differ say how steep it is.
        for some in (slopes, slopes[slopes > 0]):
            if len(some) and (slope := float(np.quantile(some, QUANTILE))) > 0:
                return slope
        return 1.0  # y is constant: any will do

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Values [N], also of samples outside the box."""
        values: npt.NDArray[np.float64] = self._outputs(self._inputs(X))[:, 0].double().numpy()
        return values

    def predict_interval(
        self, X: Any, eps: Eps | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Bounds (lower, upper) [N] that the value of no x' within eps can leave.

        Args:
            X: [N, D]. Samples outside the box get (-inf, inf), with a warning.
            eps: radius in multiples of `unit_`; by default that of the estimator.
        """
        single = self._inputs(X)
        inside = self._inside(single)
        lower = np.full(len(single), -np.inf)
        upper = np.full(len(single), np.inf)
        if inside.any():
            part = torch.from_numpy(single[inside])
            found = self._certifier.predict_interval(part, self._ball(eps))
            lower[inside] = found.lower.double().numpy()
            upper[inside] = found.upper.double().numpy()
        return lower, upper
