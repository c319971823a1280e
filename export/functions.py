"""Operations of the domain ai.sortnet as model-local functions in standard ONNX operators.

They are attached to every exported file: a runtime without our library inlines them. They compute
what kernels/include/sortnet.h says, up to the roundings that docs/certificates.md allows for. The
form of an operation (`forms`) holds its body.
"""

from __future__ import annotations

from functools import cache

import onnx
from onnx.parser import parse_function

from .format import DOMAIN, OPSET
from .forms import FORMS
from .wire import RefusedError

_HEADER = f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>'


@cache
def functions() -> dict[str, onnx.FunctionProto]:
    """The function of each operation, by name."""
    bodies = [text for form in FORMS for text in form.functions.values()]
    parsed = [parse_function(_HEADER + text) for text in bodies]
    return {function.name: function for function in parsed}


def check_functions(model: onnx.ModelProto, used: set[str]) -> None:
    """Whether a file has the functions of the operations it uses, byte by byte, and no other.

    Raises:
        RefusedError: it has not.
    """
    ours = functions()
    seen = set()
    for function in model.functions:
        name = function.name
        if function.domain != DOMAIN or name not in used or name in seen:
            raise RefusedError(f"function {function.domain}::{name} has no place in the format")
        if function.SerializeToString(deterministic=True) != ours[name].SerializeToString(
            deterministic=True
        ):
            raise RefusedError(f"the body of function {name} is not the operation's")
        seen.add(name)
    if missing := used - seen:
        raise RefusedError(f"no function is attached for {', '.join(sorted(missing))}")
