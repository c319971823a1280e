"""TF32 and reduced precision can not touch a certificate, as far as it shows without a GPU."""

import re
from collections.abc import Iterator

import pytest
import torch
from test_compile import Nvrtc
from torch import Tensor

from sortnet.evaluation import Certifier, certificates, interval_certified, margin_radius
from sortnet.models import ModelConfig, build_model, set_p

if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
    pytest.skip("needs torch 2.9", allow_module_level=True)

PARTS = (
    torch.backends.cuda.matmul,
    torch.backends.cudnn.conv,
    torch.backends.mkldnn.matmul,
    torch.backends.mkldnn.conv,
)


@pytest.fixture
def reduced() -> Iterator[None]:
    """All that a user can switch to less than float32."""
    before = [part.fp32_precision for part in PARTS]
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = True
    for part in PARTS:
        part.fp32_precision = "tf32"
    yield
    assert [part.fp32_precision for part in PARTS] == ["tf32"] * 4, "the settings were not kept"
    torch.set_float32_matmul_precision("highest")
    for part, value in zip(PARTS, before, strict=True):
        part.fp32_precision = value


def test_certificates_run_in_float32_whatever_the_settings(reduced: None) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        family="sortnet", input_shape=(1, 6, 6), classes=4, depth=3, width=32, keep=0.8, hidden=16
    )
    model = build_model(config).eval()
    set_p(model, float("inf"))
    x, y = torch.rand(40, 1, 6, 6), torch.randint(0, 4, (40,))

    def found() -> list[Tensor]:
        results = list(certificates(model, x, y, [0.001, 0.05]).values())
        results.append(interval_certified(model, x, 0.001))
        return [*results, margin_radius(body, x)]

    body = build_model(
        ModelConfig(family="sortnet", input_shape=(1, 6, 6), classes=4, depth=3, width=32, keep=0.8)
    ).eval()
    expected = found()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(a, b) for a, b in zip(found(), expected, strict=True))
    # Affine layers run in float64, which no setting reaches; the model's own products are reduced.
    assert not torch.equal(model(x), Certifier(model).predict(x).logits)


@pytest.mark.parametrize(("program", "parameter"), [(1, 8), (2, 10)])
def test_device_code_knows_float32_and_float64_only(program: int, parameter: int) -> None:
    """No matrix unit, no half, bfloat16 or TF32 type. Subnormal numbers are flushed to 0 in the
    approximate logarithm and exponential only, and in the first guess of a float64 division."""
    code = Nvrtc().intermediate(program, parameter)
    assert "add.f32" in code or "add.rn.f32" in code or "sub.f32" in code
    assert not re.search(r"\b(w?mma|wgmma|tcgen05)\b|tf32|bf16|\.f16|\.e4m3|\.e5m2", code)
    flushing = set(re.findall(r"\S+\.ftz\.\S+", code))
    assert flushing <= {"lg2.approx.ftz.f32", "ex2.approx.ftz.f32", "rcp.approx.ftz.f64"}
