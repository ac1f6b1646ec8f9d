"""A figure with controls to ask on. Notebook: 10_look_inside.

    lens = Lens(predictor, clips)
    explore(partial(draw_words, lens, 0), word=lens.see(0).words, row=range(8), column=range(12))

Without a front end it draws as any cell does, so that a page without a kernel loses nothing. The figures of the model's
inside are in `views.py`.
"""

import base64
import importlib
import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any

from ..config import nearest
from ..shared.console import visible
from .lesson import headless, shell

Options = str | Sequence[Any] | range | tuple[float, float, float]


def explore(draw: Callable[..., Any], grid: Callable[[], Any] | None = None, **choices: Options) -> None:
    """Draws `grid()`, a panel of small multiples, then `draw` for the default choices, with controls where they work.

    A choice is a list (a dropdown), a `range` or a tuple (lowest, highest, step) of floats (a slider), or a text (a
    line to type in; what `draw` refuses with a `ValueError` is shown below it). Its default is that of `draw`'s
    parameter, or else the text, the first of the list or the middle of the slider. Controls need a front end and
    ipywidgets 7.7 or newer, and are left out with `DTSE_HEADLESS=1`. Each figure is on the page once: a view that
    cannot show controls shows the picture as it was drawn first. Raises `ValueError` for a choice that `draw` does not
    take, and for a default that its options do not hold.
    """
    import matplotlib.pyplot as plt

    defaults = {name: _default(draw, name, options) for name, options in choices.items()}
    if grid is not None:
        grid()
        plt.show()
    try:
        widgets = None if headless() or not _front_end() else importlib.import_module("ipywidgets")
    except ModuleNotFoundError:
        print("controls need ipywidgets: pip install ipywidgets")
        widgets = None
    if widgets is None:
        draw(**defaults)
        plt.show()
        return
    from IPython.display import display

    controls = {name: _control(widgets, name, options, defaults[name]) for name, options in choices.items()}
    picture = widgets.Image(format="png")  # its bytes are replaced: an Output may stack pictures of quick changes
    said = widgets.Label()

    def redraw(change: Any = None) -> None:
        try:
            draw(**{name: control.value for name, control in controls.items()})
        except ValueError as error:
            said.value = visible(f"error: {error}")
        else:
            said.value, png = "", io.BytesIO()
            plt.savefig(png, format="png", bbox_inches="tight")  # as a cell would show it
            picture.value = png.getvalue()
        plt.close()

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    bar = widgets.HBox(list(controls.values()), layout=widgets.Layout(flex_flow="row wrap"))
    box = widgets.VBox([bar, said, picture])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    still = base64.b64encode(picture.value).decode()
    forms = {"application/vnd.jupyter.widget-view+json": view, "image/png": still, "text/plain": "a figure"}
    display(forms, raw=True)


def _front_end() -> bool:
    """True if a kernel runs this, to which a page can be attached."""
    return getattr(shell(), "kernel", None) is not None


def _default(draw: Callable[..., Any], name: str, options: Options) -> Any:
    parameters = inspect.signature(draw).parameters
    if name not in parameters:
        raise ValueError(f"the figure has no choice {name}{nearest(name, parameters)}; it has {', '.join(parameters)}")
    if not len(options):
        raise ValueError(f"the choice {name} has no options")
    if isinstance(options, str):
        return options
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
    if isinstance(options, str):
        return widgets.Text(**same, continuous_update=False)
    if isinstance(options, range):
        ends = {"min": options.start, "max": options[-1], "step": options.step}
        return widgets.IntSlider(**same, **ends, continuous_update=False)
    if isinstance(options, tuple):
        low, high, step = options
        return widgets.FloatSlider(**same, min=low, max=high, step=step, continuous_update=False)
    return widgets.Dropdown(**same, options=list(options))
