"""The command `python -m dtse_core.experiments`."""

from .run import main

main()
