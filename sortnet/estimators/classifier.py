"""A classifier that says with every answer how far the features may move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import Tensor
from torch.nn import functional as F

from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.evaluation import Certifier
from sortnet.evaluation.margins import margins
from sortnet.models import CertifiedNet
from sortnet.models.config import Family

from .base import Eps, SortNetEstimator
from .fitting import train
from .held_out import folds, hold_out, judged, warn_unjudged
from .objectives import BoundsObjective, MarginObjective, Objective
from .progress import bar
from .weights import class_weights, sample_weights, to_the_mean

CANDIDATES: tuple[tuple[Family, int], ...] = (
    ("relu", 1),
    ("relu", 2),
)  # beside the SortNet; the first where nothing is held out
GRID = 32  # steps of eps in which radii by interval bounds are found
SMALL = 1000  # samples below which candidates are compared on three folds


class SortNetClassifier(ClassifierMixin, SortNetEstimator):
    """A SortNet behind the scikit-learn interface: predictions with certified radii.

    The ball of radius r around x holds every x' in the box with |x'_i - x_i| <= r unit_i in all
    features at once. Within the certified radius no x' gets another label: a theorem about the
    rounded program that runs (docs/certificates.md), not a statistical statement. X may be float64;
    what its rounding to float32 can move is taken off every radius (`rounding_`).

    Args:
        eps: radius to train for, in multiples of `unit`; also the default of `certify` and
            `robust_score`. "8/255" is exact.
        unit: "range" (of each feature in the training data), "std", or an array [D] >= 0.
        immutable: features that nobody can change (unit 0): names, indices or a mask.
        box: (low, high), numbers or arrays [D]; every sample must lie inside. None takes the range
            of the training data, widened by a tenth on each side.
        family: "auto" chooses, by certified accuracy at `eps` on samples held out (three folds
            below 1000 samples, else `validation_fraction`, or 0.15 where that is 0), between a
            linear classifier, a network with one ReLU layer and a SortNet of `depth`, and refits on
            all. "sortnet"; "linf-dist" (the l-inf-distance net); "relu" (affine layers trained on
            interval bounds, linear with depth 1). The answer is constant where that certifies more
            of what was learned from, and with "auto" where the best is not a standard error above
            it on what was held out.
        depth, width: layers, and units of each hidden one; "auto" takes width for each candidate.
        keep: probability that training keeps an input (the q of the paper); "sortnet" only.
        epochs: None for what makes about 2000 steps, at least 20.
        batch_size, learning_rate, weight_decay: of AdamW.
        validation_fraction: part, at most 0.5, that is held out to keep the best network, judged by
            certified accuracy at `eps`; 0 keeps the last. Classes of fewer than 4 samples (weight
            above 0) are learned from only. Where fewer than two classes have more, or a family by
            name would have fewer than two samples a class held out, nothing is:
            `NothingHeldOutWarning` says so, and "auto" takes the linear classifier.
        patience: judgements without a better one (of some 12) after which training ends.
        class_weight: None, "balanced" or a dict of weights >= 0, as elsewhere in scikit-learn.
        random_state: seed of weights, order and dropping.
        n_jobs: threads of torch while fitting; None for one.
        verbose: show a progress bar on stderr.

    Attributes:
        classes_: labels. n_features_in_, feature_names_in_: of X.
        network_: the fitted `CertifiedNet`. box_low_, box_high_, unit_: float32 [D].
        rounding_: what rounding two inputs to float32 can move, in units; taken off every radius.
        family_, depth_: what was fitted. n_iter_: its steps.
        validation_score_: certified accuracy on samples held out, in [0, 1]: of the network that is
            kept (they also chose when training stopped and how its logits are shifted), of the best
            candidate with family "auto", of the constant where that was taken; too high rather than
            too low. None where nothing was held out.

    Example:
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sortnet import SortNetClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = SortNetClassifier(eps=0.05, random_state=0).fit(X, y)
        >>> bool(model.certified_radius(X[:1])[0] >= 0)
        True
    """

    _families = ("auto", "sortnet", "linf-dist", "relu")

    def __init__(
        self,
        eps: Eps = 0.1,
        *,
        unit: Literal["range", "std"] | npt.ArrayLike = "range",
        immutable: Sequence[str] | Sequence[int] | npt.ArrayLike | None = None,
        box: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        family: Literal["auto", "sortnet", "linf-dist", "relu"] = "auto",
        depth: int = 3,
        width: int = 64,
        keep: float = 0.9,
        epochs: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 0.02,
        weight_decay: float = 0.02,
        validation_fraction: float = 0.15,
        patience: int | None = 6,
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
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
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> SortNetClassifier:
        """Train on X [N, D] and labels y [N].

        Args:
            X: finite numbers; a frame's column names are kept.
            y: labels of any kind, at least two classes.
            sample_weight: >= 0, [N]; samples of weight 0, or of less than 1e-30 of the mean weight,
                take no part. The box and the units are those of the others.

        Warns with `NothingHeldOutWarning` where too few samples are there to hold any out.

        Raises:
            ValueError: what was wrong, and what was expected.
        """
        self._check_parameters()
        single, y = self._fit_data(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_[0]!r}: nothing to tell apart")
        weight = sample_weights(sample_weight, single)
        weight *= class_weights(self.class_weight, self.classes_, y)[codes]
        if not weight.max() > 0:
            raise ValueError("sample_weight times class_weight is 0 for every sample")
        relative = to_the_mean(weight)
        present = relative > 0
        single, codes, relative = single[present], codes[present], relative[present]
        if len(np.unique(codes)) < 2:
            raise ValueError("sample_weight and class_weight leave samples of one class only")
        data = Samples(
            torch.from_numpy(single),
            torch.from_numpy(codes),
            torch.from_numpy(relative),
        )
        seed = self._seed()
        every = np.arange(len(codes))
        family: Family | Literal["auto"] = self.family
        depth = int(self.depth)
        with bar(self.verbose, "fitting") as report:
            if family == "auto":
                family, depth, score = self._choose(data, seed)
                learn, held = every, every[:0]
            else:
                learn, held = hold_out(codes, self.validation_fraction, seed)
                score = None
                if self.validation_fraction and not len(held):
                    warn_unjudged("the last network was kept")
            fitted = self._fit_one(family, depth, data, learn, held, seed, report=report)
        if score is not None and score < self._chance(data):
            majority = data.share()
            answer_always(
                fitted.net, data.commonest(), float(parse_eps(self.eps, MAX_UNITS_OF_RADIUS))
            )
            with torch.no_grad():  # the scale that was trained is of other logits
                scale = _temperature(fitted.net(data.x), data.y, data.weight, 0.02)
            fitted, score = fitted._replace(scale=scale), majority
        self.network_, self.scale_, self.n_iter_ = fitted.net, fitted.scale, fitted.steps
        self.validation_score_ = fitted.score if score is None else score
        self.family_, self.depth_ = family, depth
        self._certifier = Certifier(self.network_)
        return self

    @staticmethod
    def _chance(data: Samples) -> float:
        """Certified accuracy that a constant would reach on what is held out, and its error.

        0 where the commonest class, by weight, is too rare for any of it to be held out.
        """
        known = data.rows(judged(data.y.numpy()))
        if known.commonest() != data.commonest():
            return 0.0
        share = known.share()
        return share + float((share * (1 - share) / len(known.y)) ** 0.5)

    def _choose(self, data: Samples, seed: int) -> tuple[Family, int, float | None]:
        """Family and depth with the best certified accuracy on samples held out, and that.

        Small tables, and those of many classes, are parted in three; each candidate is trained for
        half as long as it will be.
        """
        codes = data.y.numpy()
        parts = [hold_out(codes, self.validation_fraction or 0.15, seed)]
        if len(codes) < SMALL or not len(parts[0][1]):
            parts = folds(codes, seed)
        if not parts:
            warn_unjudged("the linear classifier was taken without a comparison")
            return *CANDIDATES[0], None
        best = (*CANDIDATES[0], -1.0)
        sortnet: tuple[Family, int] = ("sortnet", int(self.depth))
        for family, depth in (*CANDIDATES, sortnet):
            hits = total = 0.0
            for learn, held in parts:
                fitted = self._fit_one(family, depth, data, learn, learn[:0], seed, 0.5)
                unseen = data.rows(held)
                weight = float(unseen.weight.sum())
                hits += weight * fitted.objective.certified(fitted.net, *unseen)
                total += weight
            if hits / total > best[2]:
                best = family, depth, hits / total
        return best

    def _fit_one(
        self,
        family: Family,
        depth: int,
        data: Samples,
        learn: npt.NDArray[Any],
        held: npt.NDArray[Any],
        seed: int,
        length: float = 1.0,
        report: Callable[[int, int], Any] | None = None,
    ) -> Fitted:
        """One network, never worse on the samples it learned from than its majority class."""
        known = data.rows(learn)
        unseen = data.rows(held) if len(held) else None
        eps = float32_up(parse_eps(self.eps, MAX_UNITS_OF_RADIUS))
        # Box and unit are those of all samples, whatever part of them is learned from.
        config = self._configure(data.x.numpy(), len(self.classes_), family, depth)
        net = self._build(config, known.x.numpy(), seed)
        objective: Objective
        if family == "relu":
            ends = (self.box_low_, self.box_high_, self.unit_)
            objective = BoundsObjective(eps, *(torch.from_numpy(n) for n in ends))
        else:
            objective = MarginObjective(eps)

        def judge(net: CertifiedNet) -> float:
            assert unseen is not None
            if family == "relu":
                return objective.certified(net, *unseen)
            shift = _best_shift(net, *unseen, eps)
            return _certified(net(unseen.x) + shift, unseen.y, unseen.weight, eps)

        steps, _ = train(
            net,
            *known,
            loss=objective.loss,
            plan=self._plan(len(learn), seed, length),
            judge=None if unseen is None else judge,
            extra=[objective.scale],
            report=report,
        )
        with torch.no_grad():
            if family == "relu":
                _centre(net)
            else:
                chosen = data if unseen is None or len(held) < 30 else unseen
                chosen = known if unseen is None else chosen
                last: Any = next(x for x in reversed(net.layers) if hasattr(x, "keep"))
                last.bias -= _best_shift(net, *chosen, eps)  # a logit is a negated distance
            if objective.certified(net, *known) < known.share() - 1e-6:
                answer_always(net, known.commonest(), eps)
            score = None if unseen is None else objective.certified(net, *unseen)
            start = float(objective.scale.detach())
            scale = _temperature(net(known.x), known.y, known.weight, start)
        return Fitted(net, objective, scale, steps, score)

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits [N, K]; for two classes their difference [N], positive for `classes_[1]`."""
        logits = self._outputs(self._inputs(X)).double().numpy()
        scores: npt.NDArray[np.float64] = (
            logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits
        )
        return scores

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Labels [N], also of samples outside the box."""
        logits = self._outputs(self._inputs(X)).numpy()
        labels: npt.NDArray[Any] = self.classes_[logits.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities [N, K]: softmax of the scaled logits. They are not certified."""
        logits = self._outputs(self._inputs(X)).double()
        probabilities: npt.NDArray[np.float64] = (self.scale_ * logits).softmax(1).numpy()
        return probabilities

    def certified_radius(self, X: Any) -> npt.NDArray[np.float32]:
        """Radius [N] >= 0, in multiples of `unit_`, within which no label can change.

        0 means "not certified", also where a sample lies outside the box (with a warning). Of
        family "relu" it is what interval bounds prove where that is more, on a grid of eps / 32 up
        to 4 eps.
        """
        single = self._inputs(X)
        inside = self._inside(single)
        radius = np.zeros(len(single), np.float32)
        if inside.any():
            part = torch.from_numpy(single[inside])
            prediction = self._certifier.predict(part)
            found = prediction.radius.double().numpy() - self.rounding_
            if self.family_ == "relu":
                found = np.maximum(found, self._bounded(part))
            # Rounded down: a float32 below what is left.
            radius[inside] = np.maximum(0, np.nextafter(found.astype(np.float32), np.float32(-1)))
        return radius

    def _bounded(self, x: Tensor) -> npt.NDArray[np.float64]:
        """Radii on the grid within which interval bounds keep the label, by bisection: [N]."""
        unit = parse_eps(self.eps, MAX_UNITS_OF_RADIUS) / GRID
        most = min(4 * GRID, int(MAX_UNITS_OF_RADIUS / unit) - 1)
        sure, open_ = np.zeros(len(x), int), np.full(len(x), most + 1)
        while (todo := open_ - sure > 1).any():
            middle = np.where(todo, (sure + open_) // 2, 0)
            for k in np.unique(middle[todo]):
                rows = np.flatnonzero(middle == k)
                ball = int(k) * unit + Fraction(self.rounding_)
                holds = self._certifier.certify(x[rows], ball).numpy()
                sure[rows[holds]], open_[rows[~holds]] = k, k
        return sure * float(unit)

    def certify(self, X: Any, eps: Eps | None = None) -> npt.NDArray[np.bool_]:
        """Whether no x' within eps (by default that of `fit`) gets another label: bool [N]."""
        single = self._inputs(X)
        inside = self._inside(single)
        certified = np.zeros(len(single), bool)
        ball = self._ball(eps)
        if inside.any():
            part = torch.from_numpy(single[inside])
            certified[inside] = self._certifier.certify(part, ball).numpy()
        return certified

    def robust_score(
        self, X: Any, y: Any, eps: Eps | None = None, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Certified accuracy: the part of samples that are right and certified at eps."""
        y = column_or_1d(y)
        predicted = self.predict(X)
        check_consistent_length(predicted, y)
        right = predicted == y
        certified = right & self.certify(X, eps)
        return float(np.average(certified, weights=sample_weights(sample_weight, certified)))


class Samples(NamedTuple):
    """Inputs float32 [N, D], classes int64 [N], weights float32 [N] >= 0."""

    x: Tensor
    y: Tensor
    weight: Tensor

    def commonest(self) -> int:
        """The majority class."""
        return int(torch.bincount(self.y, self.weight).argmax())

    def share(self) -> float:
        """Of the majority class: what a constant certifies."""
        counts = torch.bincount(self.y, self.weight)
        return float(counts.max() / counts.sum())

    def rows(self, which: npt.NDArray[Any]) -> Samples:
        index = torch.from_numpy(which)
        return Samples(self.x[index], self.y[index], self.weight[index])


class Fitted(NamedTuple):
    """A trained network, the scale of its probabilities, its steps, and what chose it."""

    net: CertifiedNet
    objective: Objective
    scale: float
    steps: int
    score: float | None


@torch.no_grad()
def _certified(logits: Tensor, labels: Tensor, weight: Tensor, eps: float) -> float:
    """Weighted certified accuracy by margins; the logits are 1-Lipschitz in the unit. Ties by
    the mean margin, clipped, so that a better network is told from an equal one."""
    margin = margins(logits, labels)
    hits = ((margin > 2 * eps) * weight).sum() / weight.sum()
    soft = ((margin / (2 * eps)).clamp(-1, 1) * weight).sum() / weight.sum()
    return float(hits + 1e-3 * soft)


@torch.no_grad()
def _best_shift(net: CertifiedNet, x: Tensor, y: Tensor, weight: Tensor, eps: float) -> Tensor:
    """What to add to each logit for the largest certified accuracy: [K], found class by class.

    Among the candidates is the shift that makes the answer constant: an estimator is never worse
    on these samples than its majority class.
    """
    logits = net(x)
    shift = torch.zeros(logits.shape[1])
    best = _certified(logits, y, weight, eps)
    spread = float(logits.max() - logits.min()) + 4 * eps
    steps = torch.cat([torch.linspace(-2 * eps, 2 * eps, 41), torch.tensor([-spread, spread])])
    for k in range(len(shift)):
        found = 0.0
        for step in steps.tolist():
            moved = logits + shift
            moved[:, k] += step
            merit = _certified(moved, y, weight, eps)
            if merit > best:
                best, found = merit, step
        shift[k] += found
    return shift


@torch.no_grad()
def _temperature(logits: Tensor, labels: Tensor, weight: Tensor, start: float) -> float:
    """The scale of logits with the smallest cross entropy, of a grid around the trained one."""
    grid = max(abs(start), 1e-3) * 2.0 ** torch.arange(-4, 5, 0.5)
    costs = [(F.cross_entropy(s * logits, labels, reduction="none") * weight).sum() for s in grid]
    return float(grid[int(torch.stack(costs).argmin())])


@torch.no_grad()
def _centre(net: CertifiedNet) -> None:
    """Logits of mean 0: the same answers, and of two classes rows w and -w, whose margin over twice
    their norm is the exact radius of a linear network in balls that the box does not cut."""
    last: Any = net.layers[-1]
    last.weight -= last.weight.mean(0)
    last.bias -= last.bias.mean()


@torch.no_grad()
def answer_always(net: CertifiedNet, label: int, eps: float) -> None:
    """Make a network answer `label` everywhere, with a radius of at least 50 and 50 eps."""
    last: Any = next(x for x in reversed(net.layers) if getattr(x, "bias", None) is not None)
    sign = -1 if hasattr(last, "keep") else 1  # a distance is negated after it
    last.weight.zero_()
    last.bias.zero_()
    last.bias[label] = sign * 100 * max(1.0, eps)
