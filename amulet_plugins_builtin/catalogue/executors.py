"""The built-in executors, described without importing them."""

from amulet_core.components import Component, Executor, Reference

COMPONENTS: tuple[Component, ...] = (
    Executor(
        name="inline",
        summary="One job after the other, in the process that was started.",
        target="amulet_plugins_builtin.executors.inline:inline",
        references=(
            Reference(
                title="Python documentation: contextlib", where="https://docs.python.org/3/library/contextlib.html"
            ),
        ),
    ),
)
