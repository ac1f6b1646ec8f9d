"""Work shared among processes, with a progress bar, and work done ahead in a thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from tqdm import tqdm

from .console import bars_hidden, left_to_parent

Item = TypeVar("Item")
Run = Callable[[str, Callable, Iterable[Any]], Iterator[Any]]


@contextmanager
def processes(workers: int) -> Iterator[Run]:
    """Gives `run(what, function, items)`, which maps over `workers` processes, in order; `what` labels the bar.

    With one worker all happens in this process. Raises `ValueError` if a process dies.
    """

    def run(what: str, function: Callable, items: Iterable[Any]) -> Iterator[Any]:
        items = list(items)
        yield from tqdm(spread(function, items), what, len(items), disable=bars_hidden())

    spread = map
    if workers <= 1:
        yield run
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), left_to_parent) as pool:  # as a fork may copy a held lock
        spread = partial(pool.map, chunksize=4)
        try:
            yield run
        except BrokenProcessPool as error:
            raise ValueError("a process died at its work; --workers 1 shows where") from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The items in their order; while one is in use, a thread makes up to `count` of those that follow.

    The thread starts when the first item is asked for. An error is raised in the place of its item; after it, and
    once no more items are taken, the thread makes none.
    """
    source, end = iter(items), object()
    thread = ThreadPoolExecutor(1, "ahead")
    try:
        coming = deque(thread.submit(next, source, end) for _ in range(count))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, source, end))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
