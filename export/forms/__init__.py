"""One file for each operation: its nodes and how they are recognised. `FORMS` is all that a file
may hold; the engines (`writer`, `reader`, `session`) know no operation by name."""

from sortnet.certificate.operations import OPERATIONS, Operation

from .abs import AbsForm
from .affine import AffineForm
from .base import AnyForm, Found, Place, Promise
from .bias import BiasForm
from .flatten import FlattenForm
from .group_sort import GroupSortForm
from .negate import NegateForm
from .normalize import NormalizeForm
from .order_statistic import OrderStatisticForm
from .piecewise_linear import PiecewiseLinearForm
from .rank_filter import RankFilterForm
from .relu import ReLUForm
from .shift import ShiftForm
from .sort_conv import SortConvForm
from .sort_neuron import SortNeuronForm
from .tanh import TanhForm

FORMS: tuple[AnyForm, ...] = (
    AbsForm(),
    AffineForm(),
    BiasForm(),
    FlattenForm(),
    GroupSortForm(),
    NegateForm(),
    NormalizeForm(),
    OrderStatisticForm(),
    PiecewiseLinearForm(),
    RankFilterForm(),
    ReLUForm(),
    ShiftForm(),
    SortConvForm(),
    SortNeuronForm(),
    TanhForm(),
)

FORM_OF: dict[type[Operation], AnyForm] = {form.operation: form for form in FORMS}

if len(FORM_OF) < len(FORMS) or FORM_OF.keys() != set(OPERATIONS):
    _odd = FORM_OF.keys() ^ set(OPERATIONS)
    raise TypeError(f"forms do not fit the operations: {sorted(op.__name__ for op in _odd)}")
if len({form.tail for form in FORMS}) < len(FORMS):
    raise TypeError("two forms have the same tail: a reader could not tell them apart")

__all__ = ["FORMS", "FORM_OF", "AnyForm", "Found", "Place", "Promise"]
