"""What operators compute, move and hold, and how fast a device does it: the measures behind `cost.py`."""

import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..layers import CBR

UPDATED = 8 * 4  # bytes that AdamW moves for a weight: itself, its gradient and two moments, read and written


@dataclass(frozen=True)
class Speed:
    """What a device does in a second, and what an operator costs however small it is."""

    matmul: float  # operations, a multiplication and an addition being two
    conv: float
    memory: float  # bytes read or written
    update: float  # the same for weights and moments, which no cache holds
    start: float  # seconds to start an operator
    queued: bool = False  # operators are started while those before them still run, as a GPU's are


def _sheet(single: float, tf32: float, half: float, bandwidth: float) -> tuple[Speed, Speed]:
    """Single and half precision from a data sheet's 10^12 operations and 10^9 bytes a second.

    Large layers reach some 40 % of the first and 70 % of the second. In single precision PyTorch computes products in
    float32, and convolutions in TF32 on GPUs that have it. Measured beside an H100, Python starts an operator,
    forward or backward, in 25 microseconds.
    """
    memory = 0.7e9 * bandwidth
    full = Speed(0.4e12 * single, 0.4e12 * tf32, memory, memory, 2.5e-5, queued=True)
    return full, Speed(0.4e12 * half, 0.4e12 * half, memory, memory, 2.5e-5, queued=True)


SHEETS = {
    "t4": _sheet(8.1, 8.1, 65, 320),
    "v100": _sheet(15.7, 15.7, 125, 900),
    "l4": _sheet(30.3, 60, 121, 300),
    "rtx4090": _sheet(82.6, 82.6, 165, 1008),
    "a100": _sheet(19.5, 156, 312, 1555),
    "h100": _sheet(67, 495, 989, 3350),
}


@dataclass
class Tally(TorchDispatchMode):
    """Counts operators while it is entered: bytes held now and at most, and the work by kind."""

    held: int = 0
    peak: int = 0
    work: Counter = field(default_factory=Counter)  # operations of "matmul" and "conv", bytes of "memory", "operators"

    def __post_init__(self) -> None:
        super().__init__()
        self.known: weakref.WeakValueDictionary[int, torch.UntypedStorage] = weakref.WeakValueDictionary()

    def __torch_dispatch__(self, operator: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if operator is torch.ops.aten._local_scalar_dense.default:
            return 0.0  # a value, which nothing has here: the library asks for its rates of stochastic depth
        result = operator(*args, **(kwargs or {}))
        read, written = ([x for x in tree_leaves(tree) if isinstance(x, Tensor)] for tree in ((args, kwargs), result))
        before = {id(x.untyped_storage()) for x in read}
        for x in written:
            self._hold(x.untyped_storage())
        if not operator._schema.is_mutable and {id(x.untyped_storage()) for x in written} <= before:
            return result  # a view: nothing is computed or moved
        self.work["operators"] += 1
        if formula := flop_registry.get(operator._overloadpacket):
            kind = "conv" if "conv" in str(operator) else "matmul"
            self.work[kind] += formula(*args, **(kwargs or {}), out_val=result)
        else:
            self.work["memory"] += sum(x.numel() * x.element_size() for x in (*read, *written))
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage.device.type != "cpu" and id(storage) not in self.known:
            size = storage.nbytes()
            self.known[id(storage)] = storage
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.held -= size


def measure_speed(device: str, half: torch.dtype | None = None) -> Speed:
    """Four layers on the device at hand, forward and backward, and a step of AdamW: the work that is counted over the
    time it takes. A GPU gets wider ones, which keep all of it busy.

    Takes some seconds. Raises `ValueError` if there is no such device here.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"no GPU can be used here; --device may also be cpu or one of {', '.join(SHEETS)}")
    kind: dict[str, Any] = {"device": device, "dtype": half or torch.float32}
    clips, width = (48, 4) if device == "cuda" else (12, 1)

    def rate(unit: str, layer: nn.Module, *shape: int) -> float:
        layer, x = layer.to(**kind), torch.randn(*shape, requires_grad=True, **kind)

        def run() -> None:
            layer(x).sum().backward()

        with Tally() as tally:
            run()
        return tally.work[unit] / _fastest(run, device)

    weights = nn.Parameter(torch.zeros(2**23, device=device))  # 32 MB, and as much for gradient and each moment
    weights.grad = torch.ones_like(weights)
    return Speed(
        matmul=rate("matmul", nn.Linear(256 * width, 256 * width, bias=False), 200 * clips, 256 * width),
        conv=rate("conv", nn.Conv2d(64 * width, 64 * width, 3, padding=1, bias=False), clips, 64 * width, 40, 40),
        memory=rate("memory", nn.Sequential(nn.GroupNorm(8, 64 * width), nn.ReLU()), clips, 64 * width, 40, 40),
        update=UPDATED * weights.numel() / _fastest(torch.optim.AdamW([weights]).step, device),
        start=1 / rate("operators", CBR(8, 8, 3, "group"), 1, 8, 4, 4),
        queued=device == "cuda",
    )


def _fastest(run: Callable[[], object], device: str) -> float:
    """Seconds of one call: the best of ten looks at the clock, each over enough calls to see them."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter

    def look(calls: int) -> float:
        wait()
        start = clock()
        for _ in range(calls):
            run()
        wait()
        return clock() - start

    look(3)
    calls = max(1, round(0.005 / max(look(3) / 3, 1e-7)))
    return min(look(calls) for _ in range(10)) / calls
