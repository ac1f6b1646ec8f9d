"""A figure with controls to ask on. Notebook: 10_look_inside.

    lens = Lens(predictor, clips)
    explore(partial(draw_words, lens, 0), word=lens.see(0).words, row=range(8), column=range(12))

`explore` draws first, as any cell does, so that a page without a kernel loses nothing; controls come after, where a
front end can show them. The figures of the model's inside are in `views.py`.
"""

import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any

from ..config import nearest
from .lesson import headless, shell

Options = Sequence[Any] | range | tuple[float, float, float]


def explore(draw: Callable[..., Any], grid: Callable[[], Any] | None = None, **choices: Options) -> None:
    """Draws `grid()`, a panel of small multiples, then `draw` for the default choices; then adds controls.

    A choice is a list (a dropdown), a `range` or a tuple (lowest, highest, step) of floats (a slider). Its default is
    that of `draw`'s parameter, or else the first of the list or the middle of the slider. Controls need a front end
    and ipywidgets 7.7 or newer, and are left out with `DTSE_HEADLESS=1`. Raises `ValueError` for a choice that `draw`
    does not take, and for a default that its options do not hold.
    """
    import matplotlib.pyplot as plt

    defaults = {name: _default(draw, name, options) for name, options in choices.items()}
    if grid is not None:
        grid()
        plt.show()
    draw(**defaults)
    plt.show()
    if headless() or not _front_end():
        return
    try:
        import ipywidgets
    except ModuleNotFoundError:
        print("controls need ipywidgets: pip install ipywidgets")
        return
    from IPython.display import display

    controls = {name: _control(ipywidgets, name, options, defaults[name]) for name, options in choices.items()}
    picture = ipywidgets.Image(format="png")  # its bytes are replaced: an Output may stack pictures of quick changes

    def redraw(change: Any = None) -> None:
        draw(**{name: control.value for name, control in controls.items()})
        png = io.BytesIO()
        plt.savefig(png, format="png", bbox_inches="tight")  # as a cell would show it
        plt.close()
        picture.value = png.getvalue()

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    bar = ipywidgets.HBox(list(controls.values()), layout=ipywidgets.Layout(flex_flow="row wrap"))
    display(ipywidgets.VBox([bar, picture]))


def _front_end() -> bool:
    """True if a kernel runs this, to which a page can be attached."""
    return getattr(shell(), "kernel", None) is not None


def _default(draw: Callable[..., Any], name: str, options: Options) -> Any:
    parameters = inspect.signature(draw).parameters
    if name not in parameters:
        raise ValueError(f"the figure has no choice {name}{nearest(name, parameters)}; it has {', '.join(parameters)}")
    if not len(options):
        raise ValueError(f"the choice {name} has no options")
    middle = options[len(options) // 2] if isinstance(options, range) else options[0]
    if isinstance(options, tuple):
        low, high, step = options
        middle = low + round((high - low) / 2 / step) * step
    default = parameters[name].default
    default = middle if default is inspect.Parameter.empty else default
    if not (options[0] <= default <= options[1] if isinstance(options, tuple) else default in options):
        raise ValueError(f"the choice {name} starts at {default!r}, which is not one of its options")
    return default


def _control(widgets: Any, name: str, options: Options, value: Any) -> Any:
    same = {"description": name, "value": value, "style": {"description_width": "initial"}}
    if isinstance(options, range):
        ends = {"min": options.start, "max": options[-1], "step": options.step}
        return widgets.IntSlider(**same, **ends, continuous_update=False)
    if isinstance(options, tuple):
        low, high, step = options
        return widgets.FloatSlider(**same, min=low, max=high, step=step, continuous_update=False)
    return widgets.Dropdown(**same, options=list(options))
