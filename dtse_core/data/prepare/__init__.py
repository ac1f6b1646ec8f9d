"""Getting a data set and checking it: `data_scripts/prepare.py` is the command line of this folder."""
