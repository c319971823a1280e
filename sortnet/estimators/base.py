"""What certified classifiers and regressors share: inputs, boxes, units, the network, export."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sortnet.base.names import FROM_ZERO
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps
from sortnet.certificate.inputs import InputError
from sortnet.data.box import Box
from sortnet.data.convert import encode_labels
from sortnet.evaluation import Certifier
from sortnet.models import BoxConfig, CertifiedNet, ModelConfig, build_model
from sortnet.models.config import Family
from sortnet.training.prototypes import first_distance

from .fitting import Plan

FloatArray = npt.NDArray[np.float32]
Eps = str | float


class OutsideBoxWarning(UserWarning):
    """Some samples lie outside the box that the certificates speak about: their radius is 0."""


class SortNetEstimator(BaseEstimator):
    """Shared by `SortNetClassifier` and `SortNetRegressor`; see there."""

    _families: ClassVar[tuple[str, ...]] = ("sortnet", "linf-dist")

    def __init__(
        self,
        eps: Eps = 0.1,
        *,
        unit: Literal["range", "std"] | npt.ArrayLike = "range",
        immutable: Sequence[str] | Sequence[int] | npt.ArrayLike | None = None,
        box: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        family: Any = "sortnet",
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
        self.eps = eps
        self.unit = unit
        self.immutable = immutable
        self.box = box
        self.family = family
        self.depth = depth
        self.width = width
        self.keep = keep
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # --- fitting -----------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        """Raises ValueError or TypeError that name the parameter and say what was expected."""
        parse_eps(self.eps, MAX_UNITS_OF_RADIUS)
        for name in ("depth", "width", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("epochs", "patience"):
            value = getattr(self, name)
            number = isinstance(value, Integral) and not isinstance(value, bool)
            if value is not None and (not number or value < 1):
                raise ValueError(f"{name} must be a whole number of at least 1 or None: {value!r}")
        for name, least, most in (
            ("keep", 0, 1),
            ("learning_rate", 0, math.inf),
            ("weight_decay", -1e-300, math.inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, Real) or not least < float(value) <= most or value == math.inf:
                raise ValueError(f"{name} is out of its range: {value!r}")
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0 <= fraction <= 0.5:
            raise ValueError(f"validation_fraction must be in [0, 0.5], got {fraction!r}")
        if self.family not in self._families:
            raise ValueError(f"family must be one of {self._families}, got {self.family!r}")

    def _names(self) -> list[str] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _fixed(self) -> npt.NDArray[np.bool_]:
        """Mask of the features that nobody can change."""
        mask = np.zeros(self.n_features_in_, bool)
        if self.immutable is None:
            return mask
        chosen = np.asarray(self.immutable)
        flags = (isinstance(one, bool | np.bool_) for one in chosen.flat)
        if chosen.dtype == object and all(flags):
            chosen = chosen.astype(bool)
        if chosen.dtype == bool:
            if chosen.shape != mask.shape:
                raise ValueError(f"immutable is a mask of {chosen.shape} for {len(mask)} features")
            mask[:] = chosen
            return mask
        names = self._names()
        listed = chosen.ravel().tolist()
        if len(set(listed)) != len(listed):
            raise ValueError(f"immutable names a feature twice: {listed}; is it meant as a mask?")
        for one in listed:
            if isinstance(one, str):
                if names is None:
                    raise ValueError("immutable names features, but X has no column names")
                if one not in names:
                    raise ValueError(f"immutable: no column {one!r} among {names}")
                mask[names.index(one)] = True
            elif (
                isinstance(one, int) and not isinstance(one, bool) and -len(mask) <= one < len(mask)
            ):
                mask[one] = True
            else:
                raise ValueError(
                    f"immutable: expected column names, indices or a mask, got {one!r}"
                )
        return mask

    def _find_box(self, X: FloatArray) -> Box:
        if self.box is None:
            flat = X.min(axis=0) == X.max(axis=0)
            if flat.all():
                raise ValueError(
                    "every feature is constant: nothing can be learned; give 'box' if it can vary"
                )
            if not flat.any():
                return Box.around(X, names=self._names())
            # What never varied is taken as given: its box is one point.
            low, high = X.min(axis=0), X.max(axis=0)
            around = Box.around(X[:, ~flat])
            low[~flat], high[~flat] = around.low, around.high
            return Box(low, high)
        try:
            low, high = (
                np.broadcast_to(np.asarray(end, np.float32), X.shape[1:]) for end in self.box
            )
        except (TypeError, ValueError):
            raise ValueError(
                f"box must be (low, high), numbers or arrays of {X.shape[1]} features"
            ) from None
        box = Box(low, high)
        outside = (box.low > X) | (box.high < X)
        if outside.any():
            sample, feature = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(
                f"sample {sample} has {X[sample, feature]:g} in feature {feature}, outside the box "
                f"[{box.low[feature]:g}, {box.high[feature]:g}]{FROM_ZERO}"
            )
        return box

    def _find_unit(self, X: FloatArray) -> FloatArray:
        """s_i of every feature: the ball of radius r is |x'_i - x_i| <= r s_i."""
        unit: npt.NDArray[np.float64]
        if isinstance(self.unit, str):
            if self.unit == "range":
                unit = X.max(axis=0).astype(np.float64) - X.min(axis=0)
            elif self.unit == "std":
                unit = X.std(axis=0, dtype=np.float64)
            else:
                raise ValueError(f"unit must be 'range', 'std' or an array, got {self.unit!r}")
        else:
            try:
                unit = np.broadcast_to(np.asarray(self.unit, np.float64), X.shape[1:]).copy()
            except (TypeError, ValueError):
                raise ValueError(
                    f"unit must be 'range', 'std' or {X.shape[1]} numbers, got {self.unit!r}"
                ) from None
            if not np.isfinite(unit).all() or (unit < 0).any():
                raise ValueError("units must be finite and at least 0")
        single = unit.astype(np.float32)
        if not np.isfinite(single).all() or ((single == 0) & (unit > 0)).any():
            raise ValueError("units must be 0 or numbers that float32 can hold")
        single[self._fixed()] = 0
        if not (single > 0).any():
            raise ValueError("the unit is 0 for every feature: nobody can change anything")
        return single

    def _configure(
        self, X: FloatArray, classes: int, family: Family, depth: int, **more: Any
    ) -> ModelConfig:
        box, unit = self._find_box(X), self._find_unit(X)
        self.box_low_, self.box_high_, self.unit_ = box.low, box.high, unit
        # Two float64 inputs are rounded to float32, each by at most half a unit in the last place.
        ends = np.maximum(np.abs(box.low), np.abs(box.high)).astype(np.float32)
        moved = unit > 0
        self.rounding_ = float((np.spacing(ends[moved]).astype(float) / unit[moved]).max())
        eps = float(parse_eps(self.eps, MAX_UNITS_OF_RADIUS))
        if self.rounding_ > eps / 4:
            worst = int(np.argmax(np.where(moved, np.spacing(ends) / np.where(moved, unit, 1), 0)))
            raise ValueError(
                f"feature {worst} is as large as {ends[worst]:g}, where float32 has steps of "
                f"{np.spacing(ends[worst]):g}, and its unit is {unit[worst]:g}: too coarse for "
                f"eps = {self.eps}; subtract a constant from it first"
            )
        spread = X.std(axis=0, dtype=np.float64)
        free = unit == 0
        std = np.where(free, np.where(spread > 0, spread, 1), unit).astype(np.float32)
        middle = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        return ModelConfig(
            family=family,
            input_shape=X.shape[1:],
            classes=classes,
            depth=depth,
            width=int(self.width),
            keep=1.0 if family == "linf-dist" else float(self.keep),
            mean=tuple(middle.tolist()),
            std=tuple(np.clip(std, 2.0**-60, 2.0**60).tolist()),
            box=BoxConfig(*(tuple(n.tolist()) for n in (box.low, box.high, unit))),
            **more,
        )

    def _build(self, config: ModelConfig, X: FloatArray, seed: int) -> CertifiedNet:
        """A network; first centres of distances are samples: distances to what can occur."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = build_model(config)
            found = first_distance(net)
            if found is None:
                return net
            before, first = found
            rows = torch.randint(len(X), (len(first.weight),))
            with torch.no_grad():
                centres = before(torch.from_numpy(X)[rows])
                first.weight.copy_(centres + 0.1 * torch.randn_like(centres))
        return net

    def _plan(self, samples: int, seed: int, length: float = 1.0) -> Plan:
        """Steps of a training on so many samples, or of a part of its `length`."""
        per_epoch = max(1, math.ceil(samples / self.batch_size))
        epochs = self.epochs or max(20, math.ceil(2000 / per_epoch))
        return Plan(
            steps=max(1, round(length * per_epoch * epochs)),
            batch_size=int(self.batch_size),
            lr=float(self.learning_rate),
            weight_decay=float(self.weight_decay),
            patience=self.patience,
            seed=seed,
            threads=_threads(self.n_jobs),
        )

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _fit_data(self, X: Any, y: Any, **checks: Any) -> tuple[FloatArray, npt.NDArray[Any]]:
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2, **checks)
        return _float32(X), y

    # --- predicting --------------------------------------------------------------------------

    def _inputs(self, X: Any) -> FloatArray:
        check_is_fitted(self, "network_")
        return _float32(validate_data(self, X, dtype=np.float64, reset=False))

    def _outputs(self, X: FloatArray) -> torch.Tensor:
        """[N, K] of any finite inputs, inside the box or not."""
        chain = self._certifier.chain
        with torch.no_grad():
            parts = [chain.logits(part) for part in torch.split(torch.from_numpy(X), 4096)]
        return torch.cat(parts)

    def _ball(self, eps: Eps | None) -> Fraction:
        """eps (by default the estimator's) and what rounding float64 inputs to float32 adds."""
        exact = parse_eps(self.eps if eps is None else eps, MAX_UNITS_OF_RADIUS)
        return exact + Fraction(self.rounding_)

    def _inside(self, X: FloatArray) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = np.all((self.box_low_ <= X) & (self.box_high_ >= X), axis=1)
        outside = int((~inside).sum())
        if outside:
            warnings.warn(
                f"{outside} of {len(X)} samples lie outside the box of the features, about which "
                "nothing is certified: their radius is 0 (box_low_, box_high_; parameter 'box')",
                OutsideBoxWarning,
                stacklevel=3,
            )
        return inside

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_certifier", None)  # follows from the network
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "network_"):
            self._certifier = Certifier(self.network_)

    def export(self, path: str | os.PathLike[str], eps: Eps | None = None) -> None:
        """Write the fitted network as one ONNX file that certifies (`sortnet.export`).

        Args:
            path: of the file; written whole or not at all.
            eps: a classifier gives the certified radius of every input without one. A regression
                gives its interval for one radius, a network trained on interval bounds ("relu")
                says whether they certify that radius: this one, by default that of `fit`. A linear
                network of two classes needs none: its file gives the margin radius, which is exact
                where the box cuts nothing off the ball. `certified_radius` and `certify` know the
                box and may give more there; the file never does.

        Raises:
            NotFittedError: before `fit`. OSError: the file cannot be written.
        """
        from sortnet.export import export_model

        check_is_fitted(self, "network_")
        config = self.network_.config
        bounds = config.family == "relu" and (config.depth > 1 or config.classes > 2)
        if eps is None and (config.regression or bounds):
            eps = self.eps
        classes = getattr(self, "classes_", None)
        export_model(
            self.network_,
            path,
            eps,
            # As the commands and `sortnet.data` spell classes, so that tables find them by name.
            class_names=None if classes is None else encode_labels(classes)[1],
            feature_names=self._names(),
        )


def _float32(X: npt.NDArray[np.float64]) -> FloatArray:
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(X, np.float32)
    if not np.isfinite(single).all():
        raise InputError("X has values too large for float32")
    return single


def _threads(n_jobs: int | None) -> int:
    if n_jobs is None:
        return 1
    if n_jobs == 0 or not isinstance(n_jobs, Integral):
        raise ValueError(f"n_jobs must be a whole number other than 0 or None, got {n_jobs!r}")
    count = os.cpu_count() or 1
    return int(n_jobs) if n_jobs > 0 else max(1, count + 1 + int(n_jobs))
