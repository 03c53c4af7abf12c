"""The fast gradient method (Goodfellow et al., arXiv:1412.6572): one step of the whole budget uphill on the loss."""

from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.catalogue.evasion_attacks import FgsmParams
from amulet_plugins_builtin.evasion.found import Found, Task, by_budget, look, survivors, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import loss_named, slope, without_gradients
from amulet_plugins_builtin.evasion.suspicions import zero_gradients


def attack(view: EvasionView, params: FgsmParams) -> EvasionAnswer:
    """Take one step from every row at every budget, along the gradient's sign (linf) or the gradient (L2).

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    logits = white_box(view, "fgsm").logits
    ask = without_gradients(logits)
    loss = loss_named(params.loss, classes=len(view.data_schema.classes))

    def step(task: Task, found: Found) -> Found:
        rows = survivors(found, early_stop=params.early_stop)
        if not len(rows):
            return found
        x, y = task.x[rows], task.y[rows]
        uphill = slope(logits, x, y, loss=loss, target=y).gradient
        return look(ask, task, found, rows, task.relaxed(x + task.move(uphill), x))

    found = unchanged(ask, view.x, view.y)
    warnings = zero_gradients(logits, view, found, attack="fgsm", share=params.masked_share)
    return EvasionAnswer(x=by_budget(view, found, step), warnings=warnings)
