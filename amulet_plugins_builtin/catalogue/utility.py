"""The built-in utility metric: its descriptor. Imports nothing heavy."""

from amulet_core.components import Component, Measure, Metric, Reference

COMPONENTS: tuple[Component, ...] = (
    Metric(
        name="accuracy",
        summary="Accuracy on the test rows: overall, by class, by group, and beside the majority-class victim's.",
        target="amulet_plugins_builtin.utility.accuracy:accuracy",
        risk="utility",
        measures=(
            Measure(name="accuracy", summary="share of the test rows whose class is predicted", better="higher"),
            Measure(name="balanced_accuracy", summary="mean over the classes of their accuracy", better="higher"),
            Measure(
                name="majority_accuracy",
                summary="accuracy of the victim that always predicts the most common class",
                better="higher",
            ),
            Measure(name="worst_group_accuracy", summary="lowest accuracy among the groups", better="higher"),
        ),
        checks="amulet_plugins_builtin.utility.checks:accuracy",
        references=(
            Reference(
                title="Newcombe: Two-sided confidence intervals for the single proportion (Wilson's)",
                where="doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E",
            ),
            Reference(
                title="Zou, Donner: Construction of confidence limits about effect measures (sums of proportions)",
                where="doi:10.1002/sim.3095",
            ),
        ),
    ),
)
