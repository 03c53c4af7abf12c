"""The page of a config's keys, made from the types that check it."""

from amulet_core.commands.describing import parameters
from amulet_core.components import Params
from amulet_core.configuration.forms import AloneForm, RiskForm, RowForm, Shell, UseForm
from amulet_core.configuration.request import DataSettings
from amulet_core.settings import TrainingSettings
from reference.markdown import Page, docstring, parameter

_PARTS: tuple[tuple[str, type[Params]], ...] = (
    ("The outermost level", Shell),
    ("`training`", TrainingSettings),
    ("`data`", DataSettings),
    ("A component, where its name alone is not enough", UseForm),
    ("A row of one defense, where it has a label of its own", AloneForm),
    ("A row of several, where it has a label of its own", RowForm),
    ("A column, where its risk alone is not enough", RiskForm),
)


def settings_page() -> Page:
    """Return the page of the keys of a config."""
    parts = [
        f"## {title}\n\n{docstring(form.__doc__)}\n\n" + "\n".join(map(parameter, parameters(form)))
        for title, form in _PARTS
    ]
    head = (
        "# Config\n\nA config is a YAML or TOML file, or a mapping in Python. What each risk's `threat` may hold "
        "stands on the page of its [game](games/index.md); what a component's `params` may hold, on its own page. "
        "`amulet schema` prints all of it as a JSON Schema.\n\n"
    )
    return Page(path="reference/config.md", title="Config", section=(), text=head + "\n".join(parts))
