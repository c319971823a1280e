"""What the ONNX form of an operation must say: how it is written and how it is recognised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from sortnet.certificate.operations import Operation, Shape
from sortnet.certificate.rounding import Array

from ..builder import Builder
from ..matcher import Matcher, same
from ..wire import RefusedError, Value

Op = TypeVar("Op", bound=Operation)


@dataclass(frozen=True)
class Place:
    """Where an operation stands.

    Attributes:
        index: in the chain; names of nodes and constants end in it.
        before: per-sample shape of its input.
        classes: logits of the network, or 1 value.
        widen: how far interval bounds move outward before it, as the file has it (writing only).
    """

    index: int
    before: Shape
    classes: int
    widen: float = 0.0


@dataclass(frozen=True)
class Found:
    """A recognised operation, the value it reads, and the number of units that its nodes are made
    for (None: any)."""

    op: Operation
    source: Value
    units: int | None = None

    def check_units(self, shape: Shape) -> None:
        """Whether its input has as many."""
        if self.units is not None and (self.units,) != shape:
            name = type(self.op).__name__
            raise RefusedError(f"{name} is wired for {self.units} units, its input is {shape}")


@dataclass(frozen=True)
class Promise:
    """An accuracy that a host does not promise: a session measures it before it runs.

    Attributes:
        node: type of a node with one input. points: float32, where to measure. exact: its values in
        float64. limit: largest absolute error accepted.
    """

    node: str
    points: Array
    exact: Callable[[Array], Array]
    limit: float


class Form(ABC, Generic[Op]):
    """Nodes of one operation. Its writer and its recogniser share no code: a slip in a helper of
    both would pass every tampering test.

    In the graph the computed bounds of an interval are two values, low and high. `out` names the
    result of an operation: "v3" in the network, "l3" and "u3" on the bounds.
    """

    @property
    @abstractmethod
    def operation(self) -> type[Op]:
        """Whose form it is."""

    @property
    @abstractmethod
    def tail(self) -> tuple[str, ...]:
        """Types of its last nodes, the last first and each the first input of the one before it;
        with the domain where it is ours ("ai.sortnet::SortNeuron"). The longest tail that fits a
        value decides which form is recognised."""

    @abstractmethod
    def since(self, op: Op) -> int:
        """First format version that can hold it."""

    @property
    @abstractmethod
    def functions(self) -> dict[str, str]:
        """Operations of our domain that it uses: name -> body in ONNX's textual syntax."""

    @property
    @abstractmethod
    def promise(self) -> Promise | None:
        """What a session must measure first, if anything."""

    @abstractmethod
    def scratch(self, op: Op, library: bool) -> int:
        """Values for each sample that a host holds beside input and output, about; ``library``:
        run by the native operation."""

    @abstractmethod
    def scratch_worst(self, op: Op) -> int:
        """The same for `write_worst`."""

    @abstractmethod
    def write(self, build: Builder, op: Op, at: Place, x: str, out: str) -> str:
        """Nodes that compute it from the value ``x``; the name of the result, ``out``."""

    @abstractmethod
    def write_bounds(
        self, build: Builder, op: Op, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        """Nodes that compute bounds of its output from bounds of its input."""

    @abstractmethod
    def write_worst(self, build: Builder, op: Op, at: Place, low: str, high: str) -> str:
        """As the last operation: a lower bound of the logit of the label minus the largest other
        one, [N] float32, from bounds of its input. Reads the value "label"."""

    @abstractmethod
    def recognise(self, match: Matcher, value: Value) -> Found:
        """The operation behind ``value``, strictly.

        Raises:
            RefusedError: it is not what `write` writes. SpecError: its constants are bad.
        """

    @abstractmethod
    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: Op, at: Place
    ) -> tuple[Value, Value]:
        """The bounds of the input, from bounds of the output of ``op``, strictly."""

    @abstractmethod
    def recognise_worst(
        self, match: Matcher, worst: Value, label: Value, op: Op, at: Place
    ) -> tuple[Value, Value]:
        """The bounds of the input, from what `write_worst` writes, strictly."""


class Standard(Form[Op]):
    """Consists of standard operators in place, whose accuracy ONNX Runtime promises."""

    @property
    def functions(self) -> dict[str, str]:
        return {}

    @property
    def promise(self) -> Promise | None:
        return None

    def scratch(self, op: Op, library: bool) -> int:
        return 0


class Separate(Form[Op]):
    """As the last operation, it bounds every logit by itself."""

    def scratch_worst(self, op: Op) -> int:
        return 0

    def write_worst(self, build: Builder, op: Op, at: Place, low: str, high: str) -> str:
        low, high = self.write_bounds(build, op, at, low, high)
        classes = build.constant("classes", np.arange(at.classes), np.int64)
        axis_one = build.constant("axis_one", [1], np.int64)
        own = build.add("Unsqueeze", ["label", axis_one], "own")
        mine = build.add("Equal", [own, classes], "mine")
        never = build.constant("never", -np.inf)
        own_low = build.add("Where", [mine, low, never], "own_low")
        other_high = build.add("Where", [mine, never, high], "other_high")
        best = build.add("ReduceMax", [own_low, axis_one], "best", keepdims=0)
        rival = build.add("ReduceMax", [other_high, axis_one], "rival", keepdims=0)
        return build.add("Sub", [best, rival], "worst")

    def recognise_worst(
        self, match: Matcher, worst: Value, label: Value, op: Op, at: Place
    ) -> tuple[Value, Value]:
        best, rival = match.take(worst, "Sub", 2)
        masks = []
        sides = []
        for value, mine_first in ((best, True), (rival, False)):
            picked, axis = match.take(value, "ReduceMax", 2, keepdims=0)
            match.expect(axis, [1], np.int64, "axis of the classes")
            mine, first, second = match.take(picked, "Where", 3)
            bound, never = (first, second) if mine_first else (second, first)
            match.expect(never, -np.inf, np.float32, "masked logit")
            masks.append(mine)
            sides.append(bound)
        match.same_value(masks[0], masks[1], "class mask")
        match.own_class(masks[0], label, at.classes)
        return self.recognise_bounds(match, sides[0], sides[1], op, at)


class Monotone(Separate[Op]):
    """It does not decrease in any input: its bounds are the operation itself on either bound."""

    def write_bounds(
        self, build: Builder, op: Op, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        return (
            self.write(build, op, at, low, f"l{at.index}"),
            self.write(build, op, at, high, f"u{at.index}"),
        )

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: Op, at: Place
    ) -> tuple[Value, Value]:
        sources = []
        for value in (low, high):
            found = self.recognise(match, value)
            if not same(found.op, op):
                raise RefusedError(
                    f"operation {at.index} ({type(op).__name__}): the bounds compute something else"
                )
            found.check_units(at.before)
            sources.append(found.source)
        return sources[0], sources[1]


AnyForm = Form[Any]
