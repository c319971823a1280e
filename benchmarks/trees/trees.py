"""Tree methods, and the exact search over their leaves that says what a ball can do to them.

Each fits one score per class (two classes: one score and its negative) as a sum of trees. Whether
class j can reach class y inside a ball is decided by Veritas' search over f_j - f_y, which is exact
where it ends; where the time is over, a sample counts neither as certified nor as attacked.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import veritas
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

SECONDS = 2.0  # of one search
TIE = 1e-6


def _groot() -> Any:
    """GROOT of 2022 reads one function from a module that numpy 2 has no more, and compares an
    array with an empty list, which once meant "is not empty"."""
    if "numpy.lib.function_base" not in sys.modules:
        old = types.ModuleType("numpy.lib.function_base")
        old.iterable = np.iterable  # type: ignore[attr-defined]
        sys.modules["numpy.lib.function_base"] = old
    import groot.model
    from groot.provably_robust_boosting import tree_ensemble

    plain = tree_ensemble.Tree.to_array_contiguous
    if plain.__module__ != __name__:

        def to_array_contiguous(tree: Any) -> np.ndarray:
            return plain(tree).view(_Nodes)

        tree_ensemble.Tree.to_array_contiguous = to_array_contiguous
    return groot.model


class _Nodes(np.ndarray):
    def __ne__(self, other: object) -> Any:
        return len(self) > 0 if isinstance(other, list) else super().__ne__(other)


Score = Callable[[np.ndarray, np.ndarray, float, np.ndarray, int, int], Any]
"""(x, 0/1 targets, eps, fixed, depth, seed) -> AddTree, positive for target 1."""


def _empty() -> Any:
    return veritas.AddTree(1, veritas.AddTreeType.REGR)


def _above(threshold: float) -> float:
    """x <= threshold of float32 numbers as x < this one."""
    near = np.float32(threshold)
    below = np.float64(near) <= threshold
    return float(np.nextafter(near, np.float32(np.inf)) if below else near)


def _at_least(threshold: float) -> float:
    """x < threshold of float32 numbers as x < this float32."""
    near = np.float32(threshold)
    return float(near if np.float64(near) >= threshold else np.nextafter(near, np.float32(np.inf)))


def groot_tree(
    x: np.ndarray, y: np.ndarray, eps: float, fixed: np.ndarray, depth: int, seed: int
) -> Any:
    attack = [0.0 if f else eps for f in fixed]
    model = _groot().GrootTreeClassifier(max_depth=depth, attack_model=attack, random_state=seed)
    return _add_groot(_empty(), model.fit(x.astype(np.float64), y).root_)


def groot_forest(
    x: np.ndarray, y: np.ndarray, eps: float, fixed: np.ndarray, depth: int, seed: int
) -> Any:
    attack = [0.0 if f else eps for f in fixed]
    model = _groot().GrootRandomForestClassifier(
        n_estimators=25, max_depth=depth, attack_model=attack, random_state=seed
    )
    trees = _empty()
    for one in model.fit(x.astype(np.float64), y).estimators_:
        _add_groot(trees, one.root_)
    return trees


def _add_groot(trees: Any, root: Any) -> Any:
    tree = trees.add_tree()

    def grow(node: Any, place: int) -> None:
        if node.is_leaf():
            tree.set_leaf_value(place, 0, float(node.value[1] - node.value[0]))
            return
        tree.split(place, int(node.feature), _above(node.threshold))
        grow(node.left_child, tree.left(place))
        grow(node.right_child, tree.right(place))

    grow(root, tree.root())
    return trees


def robust_boosting(
    x: np.ndarray, y: np.ndarray, eps: float, fixed: np.ndarray, depth: int, seed: int
) -> Any:
    """Andriushchenko and Hein's boosted trees; they know one radius for all features."""
    _groot()
    from groot.provably_robust_boosting.wrapper import fit_provably_robust_boosting

    np.random.seed(seed)
    ensemble = fit_provably_robust_boosting(
        x.astype(np.float64), y, n_trees=40, epsilon=eps, max_depth=depth
    )
    trees = _empty()
    for one in ensemble.trees:
        tree = trees.add_tree()

        def grow(node: Any, place: int, tree: Any = tree) -> None:
            tree.split(place, int(node.coord), _at_least(node.b))
            for child, below, value in (
                (node.left, tree.left(place), node.w_l),
                (node.right, tree.right(place), node.w_l + node.w_r),
            ):
                if child is None:
                    tree.set_leaf_value(below, 0, float(value))
                else:
                    grow(child, below)

        grow(one, tree.root())
    return trees


def plain_boosting(
    x: np.ndarray, y: np.ndarray, eps: float, fixed: np.ndarray, depth: int, seed: int
) -> Any:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=40, max_depth=depth, random_state=seed, n_jobs=1)
    return veritas.get_addtree(model.fit(x, y), silent=True)


def plain_forest(
    x: np.ndarray, y: np.ndarray, eps: float, fixed: np.ndarray, depth: int, seed: int
) -> Any:
    model = RandomForestClassifier(25, max_depth=depth, random_state=seed).fit(x, y)
    trees = _empty()
    for one in model.estimators_:
        tree, source = trees.add_tree(), one.tree_
        stack = [(0, tree.root())]
        while stack:
            node, place = stack.pop()
            if source.children_left[node] < 0:
                share = source.value[node][0]
                tree.set_leaf_value(place, 0, float((share[1] - share[0]) / share.sum()))
                continue
            tree.split(place, int(source.feature[node]), _above(source.threshold[node]))
            stack += [
                (source.children_left[node], tree.left(place)),
                (source.children_right[node], tree.right(place)),
            ]
    return trees


METHODS: dict[str, tuple[Score, tuple[int, ...]]] = {
    "groot tree": (groot_tree, (2, 4, 6)),
    "groot forest": (groot_forest, (2, 4, 6)),
    "robust boosting": (robust_boosting, (1, 2, 4)),
    "plain boosting": (plain_boosting, (4,)),
    "plain forest": (plain_forest, (6,)),
}
"""How a score is fitted, and the depths from which held-out certified accuracy chooses."""


class Trees:
    """One score per class, its depth chosen on a quarter of the training part, then refitted."""

    def __init__(self, score: Score, depths: tuple[int, ...], eps: str) -> None:
        self.score, self.depths, self.eps = score, depths, float(eps)

    def fit(self, x: np.ndarray, y: np.ndarray, fixed: np.ndarray) -> Trees:
        self.fixed, self.depth = fixed, self.depths[0]
        if len(self.depths) > 1:
            parts = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
            learn, held, y_learn, y_held = parts
            merits = []
            for depth in self.depths:
                self._fit(learn, y_learn, depth)
                merits.append(self.judge(held[:200], y_held[:200])[1].mean())
            self.depth = self.depths[int(np.argmax(merits))]
        self._fit(x, y, self.depth)
        return self

    def _fit(self, x: np.ndarray, y: np.ndarray, depth: int) -> None:
        classes = range(int(y.max()) + 1)
        if len(classes) == 2:
            one = self.score(x, y, self.eps, self.fixed, depth, 0)
            self.scores = [one.negate_leaf_values(), one]
            # The score itself is twice counted in a difference with its negative: compare with 0.
            self.contrasts = {(0, 1): self.scores[1], (1, 0): self.scores[0]}
            return
        self.scores = [
            self.score(x, (y == k).astype(int), self.eps, self.fixed, depth, k) for k in classes
        ]
        self.contrasts = {
            (k, j): self.scores[j].concat_negated(self.scores[k])
            for k in classes
            for j in classes
            if j != k
        }

    def predict(self, x: np.ndarray) -> np.ndarray:
        scores = np.stack([np.asarray(s.eval(x)).reshape(len(x)) for s in self.scores])
        labels: np.ndarray = scores.argmax(0)
        return labels

    def judge(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right; right and certified; right and never fooled: bool [N] each."""
        right = self.predict(x) == y
        certified, standing = right.copy(), right.copy()
        for n in np.flatnonzero(right):
            for (k, j), trees in self.contrasts.items():
                if k == y[n] and certified[n]:
                    # Where both are equal, the class of the smaller number is the answer.
                    holds, fooled = self._search(trees, x[n], 0.0 if j < k else TIE)
                    certified[n] &= holds
                    standing[n] &= not fooled
        return right, certified, standing

    def _search(self, trees: Any, x: np.ndarray, least: float) -> tuple[bool, bool]:
        """Whether no point of the ball makes the sum of trees reach `least`; whether one does."""
        reach = np.where(self.fixed, 0.0, self.eps)
        # Ends rounded outward: the ball of the networks is rounded up to float32, too.
        low = np.nextafter((x - reach).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((x + reach).astype(np.float32), np.float32(np.inf))
        low, high = np.where(self.fixed, x, low), np.where(self.fixed, x, high)
        above = np.nextafter(high.astype(np.float32), np.float32(np.inf))  # intervals are half open
        box = [veritas.Interval(float(a), float(b)) for a, b in zip(low, above, strict=True)]
        config = veritas.Config(veritas.HeuristicType.MAX_OUTPUT)
        config.stop_when_optimal = True
        config.ignore_state_when_worse_than = least
        config.stop_when_num_solutions_exceeds = 1
        search = config.get_search(trees, box)
        reason = search.step_for(SECONDS, 100)
        if search.num_solutions() > 0:
            best = search.get_solution(0).output
            return best < least, best >= least
        return reason == veritas.StopReason.NO_MORE_OPEN, False
