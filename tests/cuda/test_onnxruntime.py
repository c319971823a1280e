"""The custom ops for ONNX Runtime's CUDA execution provider, over the emulated GPU."""

import numpy as np
import onnx
from cuda_emulated import Gpu
from cuda_ort import run_node, run_session
from cuda_reference import sort_forward

from sortnet.backend.native import library_path
from sortnet.certificate.coefficients import geometric_coefficients

LIBRARY = str(library_path("sortnet_ort"))
RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 9)).astype(np.float32)
W = RNG.standard_normal((6, 9)).astype(np.float32)
COEF = np.asarray(geometric_coefficients(0.25, 3), dtype=np.float32)[None]


def test_nodes_on_the_gpu_give_the_cpu_answers(gpu: Gpu) -> None:
    run = gpu.pool.submit(run_node, LIBRARY, "SortNeuron", [X, W], 0.25, 3)
    np.testing.assert_array_equal(run.result(), [sort_forward(X, W, COEF)])
    bounds = [X - np.float32(0.1), X + np.float32(0.1), W]
    run = gpu.pool.submit(run_node, LIBRARY, "SortNeuronBounds", bounds, 0.25, 3)
    low, high = run.result()
    y = sort_forward(X, W, COEF)
    assert (low <= y).all() and (y <= high).all() and (high - low <= 0.2001).all()


def test_wrong_shapes_on_the_gpu_are_refused(gpu: Gpu) -> None:
    run = gpu.pool.submit(run_node, LIBRARY, "SortNeuron", [X, W[:, :8]], 0.25, 3)
    assert "X has 9 features, W expects 8" in str(run.result())
    run = gpu.pool.submit(run_node, LIBRARY, "SortNeuron", [X, W], 0.25, 12)
    assert "k = 12 is more than the 9 inputs" in str(run.result())


def test_the_cpu_provider_is_unchanged_where_gpu_ops_are_registered(  # type: ignore[no-untyped-def]
    programs, tmp_path
) -> None:
    # A process of its own: the library makes its domain once, with the runtime that it meets.
    gpu = Gpu(programs, tmp_path)
    node = onnx.helper.make_node(
        "SortNeuron", ["X", "W"], ["Y"], domain="ai.sortnet", rho=0.25, k=3
    )
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["N", 9])],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, ["N", 6])],
        [onnx.numpy_helper.from_array(W, "W")],
    )
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.sortnet", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    run = gpu.pool.submit(run_session, LIBRARY, model.SerializeToString(), X)
    np.testing.assert_array_equal(run.result(), sort_forward(X, W, COEF))
    gpu.close()
