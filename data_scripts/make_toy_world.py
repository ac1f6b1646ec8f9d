"""Write the toy world to disk in the genuine layout of a data set; the command of `dtse_core/data/toy`.

python data_scripts/make_toy_world.py --layout a2d --out runs/toy_a2d
"""

from dtse_core.data.toy.__main__ import main

if __name__ == "__main__":
    main()
