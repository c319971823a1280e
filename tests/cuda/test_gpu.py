"""On a GPU (pytest -m gpu): the torch operators against the CPU's and against float64."""

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sortnet.backend import cuda, ops

pytestmark = pytest.mark.gpu

SHAPES = [(1, 1, 1), (3, 7, 5), (67, 301, 130), (64, 512, 256), (300, 784, 65)]
POWERS = [math.inf, 1.0, 3.0, 8.0, 12.0, 17.3, 300.0]


@pytest.fixture(autouse=True, scope="module")
def _gpu() -> None:
    assert torch.cuda.is_available() and cuda.available(), "these tests need an NVIDIA GPU"


@pytest.fixture
def generator() -> Iterator[torch.Generator]:
    yield torch.Generator().manual_seed(0)


def operands(shape: tuple[int, int, int], generator: torch.Generator) -> tuple[Tensor, ...]:
    B, inputs, outputs = shape
    # On a grid of 1/8, so that ties and exact hits happen.
    x = torch.randint(-16, 17, (B, inputs), generator=generator) / 8
    w = torch.randint(-16, 17, (outputs, inputs), generator=generator) / 8
    return x, w, torch.randn(B, outputs, generator=generator)


def masks(shape: tuple[int, int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    B, inputs, outputs = shape
    rows = (B + 31) // 32
    return (
        torch.rand(rows, inputs, generator=generator) < 0.7,
        torch.rand(rows, outputs, generator=generator) < 0.7,
    )


def close(found: Tensor, expected: Tensor, allowed: Tensor) -> None:
    error = (found.double().cpu() - expected).abs()
    assert (error <= allowed + 1e-30).all(), (error / (allowed + 1e-30)).max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("masked", [False, True])
def test_lp(
    shape: tuple[int, int, int], p: float, masked: bool, generator: torch.Generator
) -> None:
    x, w, dy = operands(shape, generator)
    keep_in, keep_out = masks(shape, generator) if masked else (None, None)
    on_gpu = [None if t is None else t.cuda() for t in (x, w, keep_in, keep_out, dy)]
    y = ops.lp_distance(*on_gpu[:2], p, *on_gpu[2:4], 32)
    expected = ops.lp_distance(x, w, p, keep_in, keep_out, 32)
    if math.isinf(p):
        assert torch.equal(y.cpu(), expected)
    else:
        close(y, expected.double(), 6e-6 * expected.double())
    gradients = ops.lp_distance_backward(*on_gpu[:2], p, *on_gpu[2:4], 32, y, on_gpu[4], True, True)
    d = (x[:, None].double() - w.double()) * (1 if keep_in is None else wide(keep_in, x)[:, None])
    norm = y.cpu().double()[:, :, None]
    if math.isinf(p):
        hit = (d.abs() == norm) & (norm > 0)
        g = d.sign() * (hit & (hit.cumsum(2) == 1))
    else:
        g = torch.where(norm > 0, d.sign() * (d.abs() / norm.clamp(min=1e-30)) ** (p - 1), 0.0)
    g = g * (dy * (1 if keep_out is None else wide(keep_out, dy)))[:, :, None]
    relative = 1e-5 + (0 if math.isinf(p) else p * 4e-7)
    # Per term as sortnet_cuda.h states, and a rounding per addition.
    allowed = relative * g.abs() + 2.0**-40 * dy.double().abs()[:, :, None]
    close(gradients[0], g.sum(1), allowed.sum(1))
    close(gradients[1], -g.sum(0), allowed.sum(0))


def wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.repeat_interleave(32, 0)[: like.shape[0]].double()


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("count", [1, 3, 5, 10, 16, 40])
def test_sort(shape: tuple[int, int, int], count: int, generator: torch.Generator) -> None:
    x, w, dy = operands(shape, generator)
    coef = torch.randn(shape[2], min(count, shape[1]), generator=generator)
    on_gpu = [t.cuda() for t in (x, w, coef, dy)]
    assert torch.equal(ops.sort_neuron(*on_gpu[:3]).cpu(), ops.sort_neuron(x, w, coef))
    found = ops.sort_neuron_backward(*on_gpu, True, True, True)
    expected = ops.sort_neuron_backward(x, w, coef, dy, True, True, True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_bounds_enclose_and_agree(shape: tuple[int, int, int], generator: torch.Generator) -> None:
    x, w, _ = operands(shape, generator)
    lower = x + torch.randn(x.shape, generator=generator)
    upper = lower + torch.rand(x.shape, generator=generator)
    coef = torch.randn(min(10, shape[1]), generator=generator)
    inside = torch.lerp(lower.double(), upper.double(), 0.3)
    a = (inside[:, None] - w.double()).abs()
    for p in (math.inf, 8.0, 17.3):
        low, high = ops.lp_distance_bounds(lower.cuda(), upper.cuda(), w.cuda(), p)
        exact = torch.linalg.vector_norm(a, ord=p, dim=2)
        assert (low.cpu().double() <= exact).all() and (exact <= high.cpu().double()).all()
        for mine, theirs in zip(
            (low, high), ops.lp_distance_bounds(lower, upper, w, p), strict=True
        ):
            torch.testing.assert_close(mine.cpu(), theirs, rtol=4e-6, atol=1e-6)
    on_gpu = ops.sort_neuron_bounds(lower.cuda(), upper.cuda(), w.cuda(), coef.cuda())
    exact = a.topk(len(coef), 2).values @ coef.double()
    slack = 1e-13 * a.amax(2) * len(coef)
    assert (on_gpu[0].cpu().double() <= exact + slack).all()
    assert (exact - slack <= on_gpu[1].cpu().double()).all()
    for mine, theirs in zip(on_gpu, ops.sort_neuron_bounds(lower, upper, w, coef), strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, rtol=4e-6, atol=1e-5)


def test_bits_do_not_depend_on_batch_stream_thread_or_settings(generator: torch.Generator) -> None:
    """TF32, reduced precision and autocast can not touch a result; nor can the launch shape."""
    x, w, dy = (t.cuda() for t in operands((96, 640, 300), generator))
    coef = torch.full((10,), 0.1, device="cuda")

    def results(x: Tensor, dy: Tensor) -> list[Tensor]:
        found = [ops.sort_neuron(x, w, coef), *ops.sort_neuron_bounds(x, x + 1, w, coef)]
        for p in (math.inf, 8.0, 17.3):
            y = ops.lp_distance(x, w, p, None, None, 1)
            found += [y, ops.lp_distance_backward(x, w, p, None, None, 1, y, dy, True, False)[0]]
        return found

    whole = results(x, dy)

    def same(others: list[Tensor], rows: slice = slice(None)) -> None:
        torch.cuda.synchronize()
        assert all(torch.equal(a[rows], b) for a, b in zip(whole, others, strict=True))

    same(results(x, dy))
    same(results(x[32:64].clone(), dy[32:64].clone()), slice(32, 64))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        same(results(x, dy))
    before = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.autocast("cuda", torch.bfloat16):
            same(results(x, dy))
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cuda.matmul.allow_tf32 = before[1]
    collected: list[Tensor] = []
    thread = threading.Thread(target=lambda: collected.extend(results(x, dy)))
    thread.start()
    thread.join()
    same(collected)


def test_other_types_are_refused() -> None:
    x, w = torch.zeros(2, 4, device="cuda"), torch.zeros(3, 4, device="cuda")
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match="float32"):
            ops.lp_distance(x.to(dtype), w.to(dtype), 8.0, None, None, 1)
    with pytest.raises(ValueError, match="one device"):
        ops.lp_distance(x, w.cpu(), 8.0, None, None, 1)


def test_compiled_and_captured(generator: torch.Generator) -> None:
    """torch.compile, and a CUDA graph once the kernels are compiled."""
    x, w, _ = (t.cuda() for t in operands((64, 128, 64), generator))

    def layer(x: Tensor) -> Tensor:
        return torch.ops.sortnet.lp_distance(x, w, 8.0, None, None, 1).mean()

    expected = layer(x)
    torch.testing.assert_close(torch.compile(layer)(x), expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = layer(x)
    graph.replay()
    assert torch.equal(captured, expected)


@pytest.mark.parametrize("p", [math.inf, 8.0, 17.3])
def test_captured_with_scratch_memory(p: float, generator: torch.Generator) -> None:
    """Masks and gradients take scratch memory, which becomes part of the CUDA graph."""
    shape = (96, 128, 64)
    x, w, dy = (t.cuda() for t in operands(shape, generator))
    keep_in, keep_out = (t.cuda() for t in masks(shape, generator))
    cuda.call("prepare", p, 0)

    def step() -> list[Tensor]:
        y = ops.lp_distance(x, w, p, keep_in, keep_out, 32)
        return [
            y,
            *ops.lp_distance_backward(x, w, p, keep_in, keep_out, 32, y, dy, True, True),
        ]

    expected = step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for _ in range(2):
        graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected, strict=True))


def test_unaligned_rows(generator: torch.Generator) -> None:
    """Views whose rows start between 16-byte boundaries, and a column stride of odd length."""
    x, w, _ = (t.cuda() for t in operands((64, 129, 40), generator))
    for begin in (0, 1):
        part_x, part_w = x[:, begin : begin + 128], w[:, begin : begin + 128]
        for p in (math.inf, 8.0, 17.3):
            found = ops.lp_distance(part_x, part_w, p, None, None, 1)
            copied = ops.lp_distance(part_x.contiguous(), part_w.contiguous(), p, None, None, 1)
            assert torch.equal(found, copied)


def test_onnxruntime_on_the_gpu() -> None:
    """The custom ops on the CUDA execution provider: the CPU's bits."""
    import onnx
    import onnxruntime

    from sortnet.backend.native import library_path

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    cuda.library()  # finds NVRTC
    w = torch.randn(64, 100).numpy()
    node = onnx.helper.make_node(
        "SortNeuron", ["X", "W"], ["Y"], domain="ai.sortnet", rho=0.25, k=10
    )
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["N", 100])],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, ["N", 64])],
        [onnx.numpy_helper.from_array(w, "W")],
    )
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.sortnet", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    feed = {"X": torch.randn(33, 100).numpy()}
    found = []
    for provider in ("CPUExecutionProvider", "CUDAExecutionProvider"):
        options = onnxruntime.SessionOptions()
        options.register_custom_ops_library(str(library_path("sortnet_ort")))
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=[provider]
        )
        assert provider in session.get_providers()
        found.append(torch.from_numpy(session.run(None, feed)[0]))
    assert torch.equal(*found)


def _train(rank: int, world: int, folder: str) -> None:
    """A few steps of data-parallel training of a small network; rank 0 saves the weights."""
    from sortnet.models import ModelConfig, build_model, set_p

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=world)
    torch.manual_seed(0)
    config = ModelConfig(
        family="sortnet", input_shape=(1, 8, 8), classes=4, depth=2, width=64, keep=1.0
    )
    model = torch.nn.parallel.DistributedDataParallel(build_model(config).cuda(), [rank])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.rand(64, 1, 8, 8), torch.randint(0, 4, (64,))
    part = slice(rank * 64 // world, (rank + 1) * 64 // world)
    for p in (8.0, 17.3, math.inf):
        set_p(model.module, p)
        optimizer.zero_grad()
        logits = model(images[part].cuda())
        torch.nn.functional.cross_entropy(logits, labels[part].cuda()).backward()
        optimizer.step()
    flat = torch.cat([q.detach().flatten() for q in model.parameters()])
    everyone = [torch.empty_like(flat) for _ in range(world)]
    dist.all_gather(everyone, flat)
    assert all(torch.equal(other, flat) for other in everyone), "the ranks have drifted apart"
    if rank == 0:
        torch.save(flat.cpu(), Path(folder, f"weights-{world}.pt"))
    dist.destroy_process_group()


def test_data_parallel_training(tmp_path: Path) -> None:
    """One process per GPU over NCCL: all ranks hold the same bits after every step."""
    mp.spawn(
        _train, args=(torch.cuda.device_count(), str(tmp_path)), nprocs=torch.cuda.device_count()
    )
    saved = list(tmp_path.iterdir())
    assert len(saved) == 1 and torch.load(saved[0]).isfinite().all()
