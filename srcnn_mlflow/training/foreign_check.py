"""Find out what a network from outside is, and whether it can be used.

Run as a script, in a process of its own: `python -m srcnn_mlflow.training.foreign_check net.py`.
It prints one line of JSON, with what was found or with the reason for which it is refused.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.network.foreign import Origin, origin_of
from srcnn_mlflow.training.foreign_loading import FACTS, offered
from srcnn_mlflow.training.foreign_network import ForeignModule, ForeignNetwork, wrong_halo
from srcnn_mlflow.training.optimizers import Optimizer
from srcnn_mlflow.training.start import shapes_of

# Planes of luma alone are trained on.
CHANNELS = 1
LARGEST_HALO = 256
# Enlarged pictures may be this small.
_SMALLEST = ((2, 2), (3, 2))


def main() -> None:
    """Print what a network is found to be, whatever it prints itself."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    origin = origin_of(sys.argv[1])
    assert origin is not None
    try:
        found = examine(origin)
    except ModelError as error:
        found = {"refused": str(error)}
    except Exception as error:  # whatever its code does that no check foresees
        said = f"{type(error).__name__}: {first_line(error)}"
        found = {"refused": f"network {origin.label} cannot be tried: {said}"}
    print(json.dumps(found), file=answers, flush=True)


def examine(origin: Origin) -> dict[str, Any]:
    """What a network from outside is found to be: the fields of `ForeignNetwork` that it decides.

    Raises:
        ModelError: it cannot be used.
    """
    make, _, _ = offered(origin)
    label = origin.label
    halo = _halo(make, label)
    torch.manual_seed(0)
    module = _made(make, label)
    crop = _crop(module, label, halo)
    network = ForeignNetwork(
        name=label,
        halo=halo,
        crop=crop,
        residual=False,
        shapes={},
        weights=sum(one.numel() for one in module.parameters() if one.requires_grad),
        last_layer=_last_layer(module, crop),
        keeps_statistics=_keeps_statistics(module, crop),
        make=make,
    )
    other = _made(make, label)
    if {id(one) for one in module.parameters()} & {id(one) for one in other.parameters()}:
        raise ModelError(f"network {label} gives the same module twice; make a new one each time")
    _check_sight(_shaken(other).eval(), label, halo, crop)
    _check_learns(ForeignModule(network, _made(make, label)), label)
    built = ForeignModule(network, _made(make, label))
    weights = {name: value.numpy() for name, value in built.plain_weights().items()}
    network.export(weights, 2)
    shapes = shapes_of({name: np.atleast_1d(array) for name, array in weights.items()})
    found = ("halo", "crop", "weights", "last_layer", "keeps_statistics")
    return {**{name: getattr(network, name) for name in found}, "shapes": shapes}


def _halo(make: Any, label: str) -> int:
    """The halo that a network says, once it has said that it takes luma."""
    halo, channels = (getattr(make, name, None) for name in FACTS)
    for name, value in zip(FACTS, (halo, channels), strict=True):
        if type(value) is not int:
            raise ModelError(
                f"network {label} says {name} {value!r}, where a whole number belongs: halo, how "
                "many pixels away it looks, and channels, how many planes it takes and gives"
            )
    if channels != CHANNELS:
        raise ModelError(
            f"network {label} takes {channels} channels, and is trained on {CHANNELS}: luma"
        )
    if not isinstance(halo, int) or not 0 <= halo <= LARGEST_HALO:
        raise ModelError(f"network {label} says halo {halo}, which is not from 0 to {LARGEST_HALO}")
    return halo


def _made(make: Callable[[], Any], label: str) -> nn.Module:
    module = _called(label, make)
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"network {label} gives {type(module).__name__} when it is called, where a torch "
            "module belongs"
        )
    trained = [one for one in module.parameters() if one.requires_grad]
    if not trained:
        raise ModelError(f"network {label} has no weights that could be trained")
    if any(one.dtype != torch.float32 or one.device.type != "cpu" for one in trained):
        raise ModelError(f"network {label} has weights that are not float32 on the processor")
    return module


def _called(label: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"network {label} has failed: {type(error).__name__}: {first_line(error)}"
        ) from error


def _crop(module: nn.Module, label: str, halo: int) -> int:
    """The pixels by which a module gives less than it is given.

    Raises:
        ModelError: it gives something else than luma, or of other sizes.
    """
    module.eval()
    # Where less is given, the edge is repeated in front, so that nothing is too small.
    sizes = [(2 * halo + height, 2 * halo + width) for height, width in ((24, 24), (17, 20))]
    crops = {_crop_at(module, label, halo, height, width) for height, width in sizes}
    if len(crops) > 1:
        raise ModelError(f"network {label} gives less than it is given at some sizes only")
    (crop,) = crops
    for height, width in () if crop else _SMALLEST:
        _crop_at(module, label, halo, height, width)
    return crop


def _crop_at(module: nn.Module, label: str, halo: int, height: int, width: int) -> int:
    luma = torch.rand(2, 1, height, width)
    with torch.no_grad():
        output = _called(f"{label}, given {width}x{height} pixels,", module, luma)
    if not isinstance(output, Tensor) or output.dtype != torch.float32:
        kind = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"network {label} gives {kind}, where a float32 tensor belongs")
    for crop in (0, halo):
        if output.shape == (2, 1, height - 2 * crop, width - 2 * crop):
            if not output.isfinite().all():
                raise ModelError(f"network {label} gives values that are no finite numbers")
            return crop
    raise ModelError(
        f"network {label} gives {tuple(output.shape)} for luma of {tuple(luma.shape)}; it has to "
        f"give as many pixels, or, without padding, {halo} (its halo) fewer along each edge"
    )


def _patch(crop: int) -> Tensor:
    return torch.rand(2, 1, 2 * crop + 24, 2 * crop + 24)


def _last_layer(module: nn.Module, crop: int) -> str:
    """The name of the module with weights of its own that computes last."""
    order: list[str] = []
    hooks = [
        one.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, one in module.named_modules()
        if any(parameter.requires_grad for parameter in one.parameters(recurse=False))
    ]
    with torch.no_grad():
        module(_patch(crop))
    for hook in hooks:
        hook.remove()
    inner = [name for name in order if name] or order
    # Where functions compute with weights whose modules are never called, there is no order.
    return inner[-1] if inner else ""


def _keeps_statistics(module: nn.Module, crop: int) -> bool:
    before = {name: value.clone() for name, value in module.named_buffers()}
    module.train()
    with torch.no_grad():
        module(_patch(crop))
    module.eval()
    return any(not torch.equal(before[name], value) for name, value in module.named_buffers())


def _shaken(module: nn.Module) -> nn.Module:
    """The module with other weights: of those that begin as zero, nothing would be seen."""
    with torch.no_grad():
        for one in module.parameters():
            one.add_(torch.randn_like(one), alpha=0.05)
    return module


def _check_sight(module: nn.Module, label: str, halo: int, crop: int) -> None:
    """Make sure that no output pixel depends on what is farther away than the halo.

    Raises:
        ModelError: one does.
    """
    side = 4 * halo + 25
    # By its own convolutions, torch adds up nothing that is not in the sum.
    with torch.backends.mkldnn.flags(enabled=False):
        for place in range(4):
            row, column = side // 2 + place // 2, side // 2 + place % 2
            luma = torch.rand(1, 1, side, side, requires_grad=True)
            output = _called(label, module, luma)
            (seen,) = torch.autograd.grad(output[0, 0, row - crop, column - crop], luma)
            rows, columns = seen[0, 0].nonzero(as_tuple=True)
            away = torch.cat([(rows - row).abs(), (columns - column).abs()])
            if away.numel() and int(away.max()) > halo:
                raise wrong_halo(label, halo, f"it looks {int(away.max())} pixels away")


def _check_learns(network: ForeignModule, label: str) -> None:
    """Make sure that a step can be made, and that every weight has a part in it.

    Raises:
        ModelError: it cannot.
    """
    # As a learner does.
    network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    patch = _patch(network.crop).contiguous(memory_format=torch.channels_last)
    optimizer = _called(label, Optimizer, network, "muon", 1.0)
    output = _called(label, network, patch)
    _called(label, output.square().mean().backward)
    for name, one in network.module.named_parameters():
        if one.requires_grad and one.grad is None:
            raise ModelError(f"network {label} never uses its weight {name}; take it out")
    _called(label, optimizer.step, 0.001)


if __name__ == "__main__":
    main()
