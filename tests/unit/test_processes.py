"""Work shared among processes or done ahead comes back in order, and what goes wrong is told in its place."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dtse_core.shared.processes import ahead, processes


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    with processes(workers) as run:
        assert list(run("work", abs, range(-20, 0))) == list(range(20, 0, -1))
        assert list(run("more", abs, [])) == []  # the same processes, asked again


def test_a_process_that_dies_is_told_with_its_remedy():
    with pytest.raises(ValueError, match="a process died.*--workers 1 shows where"), processes(2) as run:
        list(run("work", os._exit, [3]))


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="a worker cannot tell who sends it a signal")
def test_workers_leave_to_their_parent_what_a_scheduler_sends_to_all_and_end_when_the_parent_says():
    survived = False
    with pytest.raises(ValueError, match="a process died"), processes(2) as run:
        (worker, *_) = run("work", _slept, [0.0])
        for name in ("TERM", "INT", "HUP"):
            subprocess.run(["kill", f"-{name}", str(worker)], check=True)
        survived = worker in set(run("more", _slept, [0.02] * 40))
        os.kill(worker, signal.SIGTERM)  # as a pool that gives up, and a DataLoader
        list(run("most", _slept, [0.1] * 80))
    assert survived


def _slept(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_no_process_outlives_a_parent_that_is_killed():
    lines = (
        "import os, time",
        "from dtse_core.shared.processes import processes",
        "if __name__ == '__main__':",
        "    with processes(2) as run:",
        "        list(run('work', abs, range(8)))",
        "        os.kill(os.getpid(), 9)",
    )
    killed = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE)
    killed.communicate(timeout=60)  # until nobody holds its output any more
    assert killed.returncode == -9


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_no_loader_outlives_a_parent_that_is_killed(how):
    """A server that forks is no parent: torch's own watch, over the process that forked, sees nothing there."""
    lines = (
        "import os, time",
        "from torch.utils.data import DataLoader",
        "from dtse_core.shared.console import left_to_parent",
        "if __name__ == '__main__':",
        f"    options = {{'num_workers': 2, 'worker_init_fn': left_to_parent, 'multiprocessing_context': '{how}'}}",
        "    next(iter(DataLoader(range(1000), **options)))",
        "    os.kill(os.getpid(), 9)",
    )
    killed = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE)
    killed.communicate(timeout=60)  # until nobody holds its output any more
    assert killed.returncode == -9


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("count", [1, 3])
def test_a_thread_makes_so_many_items_ahead_and_no_more(count):
    made, taken, makers = [], 0, set()

    def items():
        for k in range(20):
            assert k <= taken + count, "too far ahead"
            made.append(k)
            makers.add(threading.current_thread().name)
            yield k

    numbers = ahead(items(), count)
    assert not threads(), "nothing begins before the first is asked for"
    for number in numbers:
        assert number == taken
        taken += 1
    assert taken == 20 and made == list(range(20)) and not threads()
    assert len(makers) == 1 and threading.current_thread().name not in makers
    assert list(ahead([], count)) == []


@pytest.mark.parametrize("count", [1, 4])
def test_an_error_comes_in_its_place_and_ends_the_thread(count):
    def items():
        yield from range(3)
        raise ValueError("frame 3 is damaged")

    got = []
    with pytest.raises(ValueError, match="frame 3 is damaged"):
        for item in ahead(items(), count):
            got.append(item)
    assert got == [0, 1, 2] and not threads()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_who_stops_taking_stops_the_thread_and_closes_what_it_read(error):
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    def take():
        for item in ahead(ahead(items(), 2), 2):
            if item == 5:
                raise error

    with pytest.raises(error) as raised:
        take()
    del raised  # with it the frames that hold the iterators
    assert closed.wait(10) and not threads()
