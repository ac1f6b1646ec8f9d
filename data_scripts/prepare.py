"""Get a data set into place, or check a copy of it; the command of `dtse_core/data/prepare`.

python data_scripts/prepare.py a2d --root data/a2d_sentences --check
"""

from dtse_core.data.prepare.__main__ import main

if __name__ == "__main__":
    main()
