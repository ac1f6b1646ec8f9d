"""A pytest plugin: nbval compares notebooks with copies that were executed already, in the folder `EXECUTED`.

    EXECUTED=runs/tutorial pytest -p tests.executed --nbval --nbval-current-env notebooks/04_vlmg.ipynb

In the place of a kernel nbval gets a record that answers with the copy's outputs; all comparing is nbval's own. A copy
of another notebook text is refused.
"""

import os
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import nbval.plugin


class ExecutedKernel:
    """What nbval asks of its kernel, answered from the copy of the notebook that it collects."""

    def __init__(self, path: Path):
        self.path = path
        cells = nbformat.read(path, as_version=4).cells
        self.cells = iter([cell for cell in cells if cell.cell_type == "code"])
        self.messages: list[dict[str, Any]] = []

    def execute_cell_input(self, source: str, allow_stdin: bool = False) -> str:
        cell = next(self.cells, None)
        if cell is None or cell.source != source:
            raise RuntimeError(f"{self.path} was executed with other cells; run make tutorial")
        if cell.execution_count is None:
            raise RuntimeError(f"{self.path} was not executed to its end; run make tutorial")
        name = str(cell.execution_count)
        contents = [(output.output_type, dict(output)) for output in cell.outputs]
        contents.append(("status", {"execution_state": "idle"}))
        self.messages = [
            {"msg_type": kind, "content": nbformat.from_dict(content), "parent_header": {"msg_id": name}}
            for kind, content in contents
        ]
        return name

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        if not self.messages:
            raise Empty
        return self.messages.pop(0)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """The answer is there."""

    def await_idle(self, parent_id: str, timeout: float) -> None:
        self.messages = []

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        """Nothing runs."""


def setup(file: nbval.plugin.IPyNbFile) -> None:
    """nbval's own set-up of a notebook, with a record in the place of a kernel."""
    file.kernel = ExecutedKernel(Path(os.environ["EXECUTED"]).resolve() / Path(file.path).name)
    file.setup_sanitize_files()


def pytest_configure() -> None:
    nbval.plugin.IPyNbFile.setup = setup
