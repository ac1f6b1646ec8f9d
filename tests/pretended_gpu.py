"""GPUs for machines that have none: tensors that compute on the CPU, say `cuda:0` or `cuda:1`, and mix with no others.

What a real one refuses is refused here: tensors of two devices in one operator, products of two floating types, arrays
of what was not brought back. Speed, memory and kernels are left to tests/gpu.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

PRODUCTS = {"conv1d", "conv2d", "linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum"}
CROSSING = {
    "copy_",
    "__getitem__",
    "__setitem__",
    "__set__",
    "_has_compatible_shallow_copy_type",
}  # take the CPU's, too


class OnGPU(Tensor):
    """A tensor on the pretended GPU `number`."""

    number: int

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return computed(func, args, kwargs or {})

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.detach().cpu().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict) -> "OnGPU":
        memo[id(self)] = copy = self.detach().clone().requires_grad_(self.requires_grad)
        copy._is_param = isinstance(self, torch.nn.Parameter)
        return copy


class _Pretended(TorchFunctionMode):
    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return computed(func, args, kwargs or {})


def place(x: Tensor) -> str:
    return f"cuda:{x.number}" if isinstance(x, OnGPU) else "cpu"


def number_of(where: Any) -> int | None:
    """Of a GPU by its name; None for the CPU."""
    device = torch.device(where)
    return device.index or 0 if device.type == "cuda" else None


def placed(x: Any, number: int | None) -> Any:
    """A new tensor, said to be on a GPU."""
    if type(x) is Tensor and number is not None:
        x.__class__, x.number = OnGPU, number
    return x


def computed(func: Callable, args: tuple, kwargs: dict) -> Any:
    """What an operator of PyTorch returns, where its tensors are. Raises an error where CUDA does."""
    name, first = getattr(func, "__name__", ""), args[0] if args else None
    here = isinstance(first, OnGPU)
    if name == "__get__" and here and func.__self__ in (Tensor.device, Tensor.is_cuda, Tensor.is_cpu):
        return {Tensor.device: torch.device(place(first)), Tensor.is_cuda: True}.get(func.__self__, False)
    if name in ("to", "cpu", "cuda") and isinstance(first, Tensor):
        return moved(first, *(args[1:] if name == "to" else (name,)), **kwargs)
    if name in ("numpy", "__array__") and here:
        raise TypeError(f"can't convert {place(first)} device type tensor to numpy; use Tensor.cpu() first")
    if name == "pin_memory":
        return first
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    gpus = {x.number for x in tensors if isinstance(x, OnGPU)}
    places = {place(x) for x in tensors if x.dim() or isinstance(x, OnGPU)}
    if len(places) > 1 and name not in CROSSING:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {sorted(places)} in {name}")
    kinds = {x.dtype for x in tensors if x.is_floating_point()}
    if name in PRODUCTS and len(kinds) > 1 and not torch.is_autocast_enabled("cpu"):
        raise RuntimeError(f"expected one scalar type, found {kinds} in {name}")
    number = min(gpus, default=None)
    if kwargs.get("device") is not None and (number_of(kwargs["device"]) is not None or gpus):
        number, kwargs = number_of(kwargs["device"]), {**kwargs, "device": "cpu"}
    out = func(*args, **kwargs)
    if name == "__set__" and func.__self__ is Tensor.data and isinstance(args[1], OnGPU):  # of a parameter that moves
        first.__class__, first.number, first._is_param = OnGPU, args[1].number, isinstance(first, torch.nn.Parameter)
    out = out.clone() if any(out is x for x in tensors) and number is not None and not gpus else out
    return out if isinstance(out, torch.Size) else tree_map(lambda x: placed(x, number), out)


def moved(x: Tensor, *target: Any, device: Any = None, **options: Any) -> Tensor:
    """`Tensor.to`."""
    number = x.number if isinstance(x, OnGPU) else None
    for part in target:
        if isinstance(part, Tensor):
            device, options["dtype"] = place(part), part.dtype
        elif isinstance(part, str | torch.device):
            device = part
        elif isinstance(part, torch.dtype):
            options["dtype"] = part
    number = number if device is None else number_of(device)
    out = x.to("cpu", **options)
    return placed(out.clone() if out is x and number != getattr(x, "number", None) else out, number)


@contextmanager
def pretended_gpus() -> Iterator[None]:
    """Two of them, while it is entered: in this thread alone."""
    autocast = torch.autocast

    def on_cpu(device_type: str, **options: Any) -> Any:
        return autocast("cpu", **options)

    with pytest.MonkeyPatch.context() as patch:
        for name, answer in {
            "is_available": True,
            "device_count": 2,
            "current_device": 0,
            "is_bf16_supported": True,
            "get_device_name": "a pretended GPU",
            "get_device_capability": (8, 0),
            "synchronize": None,
            "empty_cache": None,
        }.items():
            patch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
        patch.setattr(torch, "autocast", on_cpu)
        with _Pretended():
            yield
