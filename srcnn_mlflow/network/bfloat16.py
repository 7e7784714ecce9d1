"""Run the layers of a chain in bfloat16, on processors that multiply it in hardware.

OpenVINO computes them, an optional dependency. What a picture is made of stays in float32, for
which 8 bits are too few: the correction is added up from the rows of the last layer's kernel, and
to the residual, by ONNX Runtime; where there is no residual, so is the whole last layer. Nor may
luma be rounded: it comes as whole grey levels, which bfloat16 holds exactly, and a plane of what is
left.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import numpy_helper
from onnx.utils import Extractor

from srcnn_mlflow.machine.errors import ModelError

# How alike neighbouring pixels of photographs are, how large their mean is beside their variance,
# and what each has of its own: what a kernel's rounding errors are balanced for.
CORRELATION, MEAN_SQUARE, OWN_VARIANCE = 0.97, 4.0, 0.0005
LEVELS = np.float32(255)

# What a network on luma and chroma calls them, and what a chain calls that which the rows of its
# last kernel give each.
YCBCR, ROWS = "ycbcr", "rows"
Planes = NDArray[np.float32]
Infer = Callable[[Planes], Planes]


def bfloat16_infer(
    model: bytes, threads: int, session: Callable[[bytes], onnxruntime.InferenceSession]
) -> Infer:
    """Prepare a network for `precision=bfloat16`.

    Args:
        model: an ONNX file of a chain, as `build_onnx` writes it.
        threads: how many processors may be used.
        session: loads an ONNX file with ONNX Runtime.

    Returns:
        What the network does: float32 in 0..1 of shape (batch, planes, height, width) in and out.

    Raises:
        ModelError: OpenVINO is not installed, the processor has no bfloat16, or the network is no
            chain.
    """
    openvino = _openvino()
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    rounded = _rounded_until(graph)
    (source,), (target,) = graph.graph.input, graph.graph.output
    extractor = Extractor(graph)
    # A network on luma and chroma makes these of its input first.
    made = any(YCBCR in node.output for node in graph.graph.node)
    begin = session(_part(extractor, [source.name], [YCBCR])) if made else None
    seen = YCBCR if made else source.name
    first = _with_two_inputs(extractor.extract_model([seen], [rounded]))
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(first.SerializeToString()),
        "CPU",
        {
            openvino.properties.hint.inference_precision: openvino.Type.bf16,
            openvino.properties.inference_num_threads: threads,
        },
    )
    end = session(_part(extractor, [rounded, source.name], [target.name]))

    # A server calls from several threads, and a request serves one at a time.
    own = threading.local()

    def infer(planes: Planes) -> Planes:
        (shown,) = begin.run(None, {source.name: planes}) if begin else (planes,)
        levels = shown * LEVELS
        whole = np.rint(levels)
        parts = np.concatenate([whole, levels - whole], axis=1)
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        found = own.request.infer({0: parts}, share_outputs=True)[0]
        (output,) = end.run(None, {rounded: found, source.name: planes})
        result: Planes = output
        return result

    return infer


def balanced_rounding(kernels: Planes) -> Planes:
    """Round kernels to bfloat16 so that their errors balance on photographs.

    Each weight's error is made up for by those that are still to be rounded, as far as
    neighbouring pixels are alike (optimal brain compression: Frantar and Alistarh, 2022).

    Args:
        kernels: float32 of shape (filters, planes, side, side).

    Returns:
        The same shape, of values that bfloat16 holds.
    """
    side = kernels.shape[-1]
    place = np.arange(side)
    alike = CORRELATION ** np.abs(place[:, None] - place)
    covariance = np.kron(alike, alike) + MEAN_SQUARE + OWN_VARIANCE * np.eye(side**2)
    carry = np.linalg.cholesky(np.linalg.inv(covariance)).T
    left = kernels.reshape(-1, side**2).astype(np.float64)
    rounded = np.empty_like(left)
    for number in range(side**2):
        rounded[:, number] = round_to_bfloat16(left[:, number])
        error = (left[:, number] - rounded[:, number]) / carry[number, number]
        left[:, number:] -= error[:, None] * carry[number, number:]
    return rounded.reshape(kernels.shape).astype(np.float32)


def round_to_bfloat16(values: ArrayLike) -> Planes:
    """Round to the nearest value that bfloat16 holds, ties to even; float32 of the same shape.

    >>> [float(value) for value in round_to_bfloat16([1.0, 255.0, 257.0, 0.1])]
    [1.0, 255.0, 256.0, 0.10009765625]
    """
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)


def _rounded_until(graph: onnx.ModelProto) -> str:
    """What of a chain is the last to be computed in bfloat16.

    Raises:
        ModelError: the network is no chain.
    """
    made = {name for node in graph.graph.node for name in node.output}
    layers = sum(constant.name.endswith(".weight") for constant in graph.graph.initializer)
    features = f"layer{layers - 1}.relu"
    if features not in made:
        raise ModelError(
            "precision=bfloat16 is for chains of convolutions, and this network is none; give "
            "precision=float32"
        )
    residual = any(one.key == "residual" and one.value == "true" for one in graph.metadata_props)
    # Networks that were exported before have no rows.
    return ROWS if residual and ROWS in made else features


def _part(extractor: Extractor, sources: list[str], targets: list[str]) -> bytes:
    part: bytes = extractor.extract_model(sources, targets).SerializeToString()
    return part


def _with_two_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the first layer take whole grey levels, and what is left of them in further planes."""
    for constant in model.graph.initializer:
        if constant.name == "conv1.weight":
            weights = numpy_helper.to_array(constant).astype(np.float32)
            kernels = balanced_rounding(weights / LEVELS)
            doubled = np.concatenate([kernels, kernels], axis=1)
            constant.CopyFrom(numpy_helper.from_array(doubled, constant.name))
    planes = model.graph.input[0].type.tensor_type.shape.dim[1]
    planes.dim_value *= 2
    del model.graph.value_info[:]
    return model


def _openvino() -> Any:
    try:
        import openvino
        import openvino.properties.hint
    except ModuleNotFoundError as error:
        raise ModelError(
            "precision=bfloat16 needs OpenVINO, which is not installed; run "
            "pip install srcnn-mlflow[bfloat16], or give precision=float32"
        ) from error
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in capabilities:
        raise ModelError(
            "precision=bfloat16: this processor does not multiply bfloat16 in hardware; give "
            "precision=float32, which is as fast here"
        )
    return openvino
