"""Turn trained weights into an ONNX file that runs anywhere, without torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from srcnn_mlflow.network.architecture import Architecture, chain_name
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.pictures.colour import ycbcr_conversion

# Old enough for every ONNX Runtime in use; has edge padding and dynamic sizes.
OPSET = 17
IR_VERSION = 8


def build_onnx(weights: Weights, architecture: Architecture, scale: int) -> bytes:
    """Write the network as an ONNX graph.

    Args:
        weights: float32 arrays `conv1.weight`, `conv1.bias` ..., in torch's layout.
        architecture: how the layers are put together.
        scale: which upscaling the weights were trained for; kept in the file.

    Returns:
        A serialized model from `luma` to `output`, both float32 in 0..1 of shape
        (batch, 1, height, width), with `scale`, `halo`, `architecture`, `residual` and `padding`
        in its metadata. A network on three planes goes from `rgb` to red, green and blue, whatever
        it works on, which stands in the metadata as `channels`.
    """
    nodes = []
    source = "luma" if architecture.channels == "y" else "rgb"
    in_ycbcr = architecture.channels == "ycbcr"
    if in_ycbcr:
        nodes.append(_convert(source, "ycbcr"))
    flow = base = "ycbcr" if in_ycbcr else source
    if architecture.padding == "none":
        nodes.append(_pad_edge(flow, "padded", architecture.halo))
        flow = "padded"
    for number, side in enumerate(architecture.kernels, start=1):
        margin = side // 2
        if architecture.padding == "replicate" and margin:
            nodes.append(_pad_edge(flow, f"padded{number}", margin))
            flow = f"padded{number}"
        pad = margin if architecture.padding == "zero" else 0
        if number < len(architecture.kernels):
            nodes += _hidden_layer(flow, number, side, pad)
            flow = f"layer{number}.relu"
        else:
            nodes += _last_layer(flow, number, pad, architecture, base)

    if in_ycbcr:
        nodes[-1].output[0] = "sharp"
        nodes.append(_convert("sharp", "output"))
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in sorted(weights.items())
    ]
    constants += [
        numpy_helper.from_array(np.array([0, 0, m, m, 0, 0, m, m], np.int64), f"margin{m}")
        for m in sorted({architecture.halo, *(side // 2 for side in architecture.kernels)})
        if any(f"margin{m}" in node.input for node in nodes)
    ]
    constants += _last_layers_constants(architecture)
    constants += _conversions() if in_ycbcr else []
    sizes: list[str | int | None] = ["batch", architecture.planes, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "srcnn",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, sizes)],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="srcnn-mlflow",
    )
    helper.set_model_props(
        model,
        {
            "scale": str(scale),
            "halo": str(architecture.halo),
            "architecture": architecture.name,
            "residual": str(architecture.residual).lower(),
            "padding": architecture.padding,
            # Files from before there was a choice have none, and work on luma.
            **({} if architecture.channels == "y" else {"channels": architecture.channels}),
        },
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def save_onnx(path: Path, weights: Weights, architecture: Architecture, scale: int) -> None:
    """Write `build_onnx`'s model to a file."""
    path.write_bytes(build_onnx(weights, architecture, scale))


@dataclass(frozen=True)
class WrittenNetwork:
    """What a network's ONNX file holds.

    Attributes:
        about: what it says of itself, by name, such as `residual` and `padding`.
        weights: float32 arrays by name, and whatever else is constant in it.
    """

    about: Mapping[str, str]
    weights: Weights


def read_network(path: Path) -> WrittenNetwork:
    """Read what `save_onnx`, or a network from outside, has written.

    Args:
        path: an ONNX file.
    """
    model = onnx.load(path)
    # Copies, because what lies in the file's own bytes cannot be written to.
    weights = {one.name: numpy_helper.to_array(one).copy() for one in model.graph.initializer}
    # Of equal weights, torch's exporter keeps the first.
    weights |= {
        node.output[0]: weights[node.input[0]]
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in weights
    }
    return WrittenNetwork(
        about={entry.key: entry.value for entry in model.metadata_props},
        weights=weights,
    )


def read_layers(path: Path) -> tuple[str, int]:
    """Read from a network's ONNX file how it is put together.

    Args:
        path: a file as `save_onnx`, or a network from outside, writes it.

    Returns:
        The architecture's name, as in `9-5-5`, and the number of weights, biases included.
    """
    written = read_network(path)
    if "weights" in written.about:
        # One from outside, whose layers tell nothing.
        return written.about["architecture"], int(written.about["weights"])
    layers = {
        name: array.shape for name, array in written.weights.items() if name.startswith("conv")
    }
    kernels = [layers[f"conv{number}.weight"] for number in range(1, len(layers) // 2 + 1)]
    name = chain_name([shape[-1] for shape in kernels], [shape[0] for shape in kernels[:-1]])
    return name, sum(math.prod(shape) for shape in layers.values())


def _hidden_layer(flow: str, number: int, side: int, pad: int) -> list[onnx.NodeProto]:
    layer, inputs = f"layer{number}", [flow, f"conv{number}.weight", f"conv{number}.bias"]
    return [
        helper.make_node("Conv", inputs, [layer], kernel_shape=[side, side], pads=[pad] * 4),
        helper.make_node("Relu", [layer], [f"{layer}.relu"]),
    ]


def _last_layer(
    flow: str, number: int, pad: int, architecture: Architecture, base: str
) -> list[onnx.NodeProto]:
    """Write the convolution to one plane or three row by row, and what its result is added to.

    The runtime computes 16 planes at a time, however few are asked for. So every row of the kernel
    gives planes of its own, and these are added up, each shifted by its row: the same sum in a
    quarter of the time.
    """
    side = architecture.kernels[-1]
    rows = [f"row{row}" for row in range(side)]
    kernel = f"conv{number}.rows"
    slices = [
        helper.make_node("Slice", ["rows", f"{row}.starts", f"{row}.ends", "row.axes"], [row])
        for row in rows
    ]
    bias = f"conv{number}.bias"
    # Done once, when the runtime loads the file, which so keeps the weights as they are known.
    arrange = [helper.make_node("Transpose", [f"conv{number}.weight"], [kernel], perm=[2, 1, 0, 3])]
    if architecture.planes > 1:
        by_row, of_planes = f"conv{number}.by_row", f"{bias}.of_planes"
        arrange = [
            helper.make_node("Transpose", [f"conv{number}.weight"], [by_row], perm=[2, 0, 1, 3]),
            helper.make_node("Reshape", [by_row, "rows.shape"], [kernel]),
            helper.make_node("Reshape", [bias, "bias.shape"], [of_planes]),
        ]
        bias = of_planes
    terms = [*rows, bias, *([base] if architecture.residual else [])]
    return [
        *arrange,
        helper.make_node("Conv", [flow, kernel], ["rows"], kernel_shape=[1, side], pads=[pad] * 4),
        *slices,
        helper.make_node("Sum", terms, ["output"]),
    ]


def _last_layers_constants(architecture: Architecture) -> list[TensorProto]:
    """Where the planes of each row begin and end, along channels and height; and their shapes."""
    side, planes = architecture.kernels[-1], architecture.planes
    end = np.iinfo(np.int64).max
    values = {"row.axes": [1, 2]}
    for row in range(side):
        values[f"row{row}.starts"] = [planes * row, row]
        values[f"row{row}.ends"] = [planes * (row + 1), row + 1 - side or end]
    if planes > 1:
        values["rows.shape"] = [side * planes, architecture.filters[-2], 1, side]
        values["bias.shape"] = [planes, 1, 1]
    return [
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()
    ]


def _convert(source: str, target: str) -> onnx.NodeProto:
    """To luma and chroma, or back: a convolution that looks at single pixels."""
    return helper.make_node("Conv", [source, f"{target}.matrix", f"{target}.black"], [target])


def _conversions() -> list[TensorProto]:
    """What `_convert` takes, by where it leads."""
    return [
        numpy_helper.from_array(value, f"{target}.{name}")
        for target, inverse in (("ycbcr", False), ("output", True))
        for name, value in zip(("matrix", "black"), _as_kernel(inverse), strict=True)
    ]


def _as_kernel(inverse: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    matrix, black = ycbcr_conversion(inverse=inverse)
    return matrix.reshape(3, 3, 1, 1), black


def _pad_edge(source: str, target: str, margin: int) -> onnx.NodeProto:
    return helper.make_node("Pad", [source, f"margin{margin}"], [target], mode="edge")
