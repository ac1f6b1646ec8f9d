"""Scores on the diagnostic world (the toy world's level 2), of one method or several: a table and a picture.

    python -m dtse_core.experiments.diagnosis RESULT.json ... --out diagnosis.png

A RESULT is what `evaluate --json` writes. Results of the same checkpoint or masks are one method's, on several splits;
a split's sentences must be the same for all methods. seaborn and pandas are imported where they are used.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..scoring.diagnosis import CEILINGS
from ..shared import markdown
from ..shared.console import Parser, one_line_errors
from ..shared.files import OURS, read_json, require_ours, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = f"picture {OURS}"
PANELS = {  # titles, and what is drawn below them
    "mean IoU; black: the most that\nblinded observers can score": ("mean_iou",),
    "tIoU: marked when it is there,\nand only then": ("tIoU",),
    "dot: answered if something fits,\ncross: rejected if nothing does": ("answered", "rejected"),
}
POINT = ("row", "panel", "method", "metric", "percent", "low", "high", "ceiling")
Results = dict[str, dict[str, dict[str, Any]]]  # what `diagnose` gives, by split and method


def read_results(paths: Sequence[Path]) -> Results:
    """The diagnoses in files that `evaluate` wrote; slices last.

    Raises `FileNotFoundError` for a missing file, and `ValueError` for one that holds something else, for a method's
    split that comes twice, and for a split of which the methods answered different sentences.
    """
    read: dict[str, dict[str, dict]] = {}
    asked: dict[str, tuple[Path, list]] = {}
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}; evaluate --json writes such a result")
        result = read_json(path)
        if missing := [key for key in ("source", "split", "samples", "diagnosis") if key not in result]:
            raise ValueError(
                f"{path} has no {missing[0]}; give what evaluate --json writes of a toy world's second level"
            )
        split, source = str(result["split"]), str(result["source"])
        try:
            said = sorted((one["video_id"], one["expression"]) for one in result["samples"])  # as often as it is scored
            _check_groups(result["diagnosis"], split)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged; write it again with evaluate --json") from error
        first, before = asked.setdefault(split, (path, said))
        if said != before:
            raise ValueError(f"{path} and {first} are scores of different sentences in {split}; score one world")
        if source in read.setdefault(split, {}):
            raise ValueError(f"{path} is another result of {source} on {split}; leave one out")
        read[split][source] = result["diagnosis"]
    sources = list(dict.fromkeys(source for methods in read.values() for source in methods))
    names = [Path(source).name for source in sources]
    short = dict(zip(sources, names if len(set(names)) == len(names) else sources, strict=True))
    return {
        split: {short[source]: read[split][source] for source in sources if source in read[split]}
        for split in sorted(read, key=lambda split: split in CEILINGS)
    }


def _check_groups(groups: dict[str, Any], split: str) -> None:
    """Raises an error unless the groups that are shown are there, and each metric is a share with an interval."""
    for group in (*rows_of(groups, split).values(), *groups):
        for name, share in groups[group]["metrics"].items():
            low, high = groups[group]["intervals"][name]
            if not 0 <= share <= 1 or not math.isfinite(high - low):
                raise ValueError(f"{name}: {share}, {low} to {high}")


def rows_of(groups: dict[str, Any], split: str) -> dict[str, str]:
    """Which groups of a split are shown, by the names of their rows; of a slice what it asks, and its controls."""
    if split in CEILINGS:
        return {split: "asked", f"{split}, control": "control"} if "asked" in groups else {split: "all"}
    return {f"{split}, all": "all"} | {name: name for name in groups if name != "all"}


def points(results: Results) -> Iterator[dict[str, Any]]:
    """Each metric of each row and method in percent, with the ends of its interval, and each ceiling of a slice."""
    for split, methods in results.items():
        for method, groups in methods.items():
            for row, group in rows_of(groups, split).items():
                for panel, names in PANELS.items():
                    at = {"row": row, "panel": panel, "method": method}
                    for name in (name for name in names if name in groups[group]["metrics"]):
                        low, high = (100 * end for end in groups[group]["intervals"][name])
                        percent = 100 * groups[group]["metrics"][name]
                        yield at | {"metric": name, "percent": percent, "low": low, "high": high}
                    if row in CEILINGS and "mean_iou" in names:
                        yield at | {"metric": "mean_iou", "ceiling": 100 * CEILINGS[row]}


def table(results: Results) -> list[list[str]]:
    """Head and a row for each group: every method's metrics in percent, and their 95 % intervals."""
    found = [point for point in points(results) if "percent" in point]
    metrics, methods = (list(dict.fromkeys(point[name] for point in found)) for name in ("metric", "method"))
    columns = list(product(metrics, methods))
    cells = {
        (p["row"], p["metric"], p["method"]): f"{p['percent']:.1f} ({p['low']:.1f}-{p['high']:.1f})" for p in found
    }
    rows = dict.fromkeys(point["row"] for point in found)
    head = ["", *(f"{metric}, {method}" for metric, method in columns)]
    return [head, *([row, *(cells.get((row, *column), "") for column in columns)] for row in rows)]


def draw(results: Results) -> "Figure":
    """The same as a picture: a dot for each method with its interval; black ticks are the ceilings of slices."""
    import matplotlib.pyplot as plt
    import pandas as pd
    import seaborn as sns
    import seaborn.objects as so

    from ..video.film import use_style

    use_style()
    data = pd.DataFrame(points(results), columns=[*POINT])
    rows, methods = (list(dict.fromkeys(data[name])) for name in ("row", "method"))
    colors = dict(zip(methods, sns.color_palette("colorblind", len(methods)), strict=True))
    markers = {name: "X" if name == "rejected" else "o" for name in data["metric"]}
    figure = plt.figure(figsize=(8, 1.2 + len(rows) * (0.15 + 0.05 * len(methods))))
    apart = so.Dodge(by=["color"])  # methods, not metrics
    plot = so.Plot(data, x="percent", y="row", color="method")
    plot = plot.facet("panel", order=[panel for panel in PANELS if panel in set(data["panel"])])
    plot = plot.add(so.Dash(color="black", width=0.7), orient="y", x="ceiling", color=None, legend=False)
    interval = {"xmin": "low", "xmax": "high", "linestyle": "metric"}  # one for each metric
    plot = plot.add(so.Range(linewidth=1.2), apart, **interval, orient="y", legend=False)
    plot = plot.add(so.Dot(pointsize=4), apart, marker="metric", orient="y", legend=False)
    plot = plot.scale(color=colors, marker=markers, linestyle=dict.fromkeys(markers, "-"))
    plot = plot.scale(x=so.Continuous().tick(every=25), y=so.Nominal(order=rows))
    plot = plot.limit(x=(-3, 103), y=(len(rows) - 0.5, -0.5)).label(y="")
    plot.theme({**plt.rcParams, "axes.grid": True, "ytick.major.size": 0}).on(figure).plot()
    for ax in figure.axes:
        for place in range(1, len(rows), 2):
            ax.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=-1)
    lines = [
        plt.Line2D([], [], color=color, marker="o", label=name.replace("$", r"\$")) for name, color in colors.items()
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=3)
    return figure


def parse_command(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("python -m dtse_core.experiments.diagnosis", __doc__)
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json", help="of evaluate --json")
    parser.add_argument("--out", type=Path, default=Path("diagnosis.png"), help="the picture, a PNG (%(default)s)")
    return parser.parse_args(arguments)


@one_line_errors
def main() -> None:
    """Writes the picture and prints the table as Markdown."""
    import matplotlib

    options = parse_command()
    if options.out.suffix != ".png":
        raise ValueError(f"--out {options.out} is not the name of a PNG; let it end with .png")
    require_ours(options.out, PICTURE, inputs=options.results)
    results = read_results(options.results)
    matplotlib.use("Agg")
    with written_whole(options.out, PICTURE) as part:
        draw(results).savefig(part, format="png", bbox_inches="tight", metadata={"Description": PICTURE})
    print("\n".join(markdown.table(table(results))))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
