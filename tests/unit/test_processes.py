"""Work shared among processes comes back in order, and a process that dies is told in one line."""

import os

import pytest

from dtse_core.shared.processes import processes


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    with processes(workers) as run:
        assert list(run("work", abs, range(-20, 0))) == list(range(20, 0, -1))
        assert list(run("more", abs, [])) == []  # the same processes, asked again


def test_a_process_that_dies_is_told_with_its_remedy():
    with pytest.raises(ValueError, match="a process died.*--workers 1 shows where"), processes(2) as run:
        list(run("work", os._exit, [3]))
