"""Defenses that misbehave: each fails exactly one check of the conformance kit, which says what and how to mend it."""

import pytest
from descriptors import defense, explainer, verifier

from amulet_core.testing import component_checks
from amulet_core.testing.static import static_checks

WELL_BEHAVED = (
    defense("data", "data_kept"),
    defense("training", "weighted"),
    defense("training", "centred_on_the_batch", clippable=False),
    defense("model", "pruned"),
    defense("inference", "smoothed"),
    defense("inference", "noisy", randomised=True),
    defense("inference", "labels", labels_only=True),
    defense("data", "data_marked", produces=("mark",)),
    explainer("gradients"),
    verifier("recognised"),
    verifier(
        "recognised",
        stages={"data": "mutant_defenses:data_marked"},
        produces=("mark",),
        target="mutant_defenses:data_marked",
    ),
)
STATIC = {check.name for check in static_checks("it", WELL_BEHAVED[0])}

ANSWER = "a VerificationAnswer with one score for each suspect, and p-values within 0 .. 1 if any"
ALONE = "draw what is random once, before any suspect is looked at, and compare with no other suspect"

EXPLANATIONS = "its explanations say something finite of every feature"
EXPLAINED = (
    "for every input one finite number for each of its features",
    "return a tensor shaped like question.x, and mend what is not finite",
)
DECLARED = "the fit that it wraps, called once with what it is given, or wraps_fit=True"
DECLARE = "set wraps_fit=True in the descriptor: attacks on gradients are then skipped with that reason"


def undeclared(function, found):
    """Return the mutant whose fit does more than it declares."""
    check = "it says if it does more than its objective says"
    return defense("training", function), check, f"on the toy table, training stage its fit {found}", DECLARED, DECLARE


RECIPE = "train them by the recipe as amulet_core.performing.recipes.fit_recipe does, and mend what is raised"
VMAP = (
    f"{RECIPE}; objectives run under torch.func.vmap: branch with torch.where, ask for draws with Draw, return one loss a "
    "row, [n]"
)


def raised(function, error):
    """Return the mutant whose objective does not run for several models at once."""
    found = f"on the toy table training raised ComponentError: made/{function}: {error}"
    return defense("training", function), "the trained model is finite and plain", found, "two trained models", VMAP


def mixing(function, before, after, toy="table"):
    """Return the mutant whose loss of a row depends on others."""
    return (
        defense("training", function),
        "its objective gives each row a loss of its own",
        f"on the toy {toy}, training stage a row's loss went from {before} to {after} when other rows of its batch changed",
        "a loss that depends on its own row alone, or clippable=False",
        "leave statistics of the batch out of the loss, or set clippable=False in the descriptor: dp-sgd then refuses it",
    )


MUTANTS = {
    "branches on a tensor": raised(
        "branching",
        "RuntimeError: vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't "
        "support that yet, please file an issue at https://github.com/pytorch/pytorch/issues ",
    ),
    "draws inside of the objective": raised(
        "drawing",
        "RuntimeError: vmap: called random operation while in randomness error mode. Please either use the 'same' or "
        "'different' randomness flags on vmap or perform the randomness operation out of vmap",
    ),
    "compares rows with the batch's mean": mixing("centred_on_the_batch", "0.7271", "0.7301"),
    "branches on the batch's mean": mixing("relaxed", "0.727", "-0.727"),
    "branches on the batch's mean, late": mixing("relaxed_late", "0.3473", "-0.3473"),
    "branches on the batch's mean of large logits": mixing("relaxed_above", "-1.02", "1.02", toy="images"),
    "shares the weights out": mixing("weights_shared_out", "0.727", "23.26"),
    "ignores the weights": (
        defense("training", "weight_ignored"),
        "its objective keeps to the weights of the rows",
        "on the toy table, training stage the loss of a row of weight 0 has a gradient of length 0.043",
        "none: what such a row says counts for nothing",
        "multiply each term that is added to the wrapped losses by batch.w",
    ),
    "asks the model twice": (
        defense("training", "asked_twice"),
        "its objective asks each network once",
        'on the toy table, training stage asked-twice asked the network "model" 2 times in a step',
        "that an objective asks each network once",
        "take the outputs that the wrapped objective asks for (the tutorial notes them), look around on frozen, or join "
        "several inputs into one call by torch.cat",
    ),
    "takes it that each row has one input": (
        defense("training", "several_inputs_forgotten"),
        "it composes with another training defense",
        "on the toy table, training stage, another defense standing before it and asking about two inputs of each row, "
        "training raised RuntimeError: The size of tensor a (32) must match the size of tensor b (64) at non-singleton "
        "dimension 0",
        "a trained model",
        "take the mean over a row's inputs, which follow each other, [k * n], or stand on an axis of their own, [n, k], as "
        "of_each_row in the tutorial does",
    ),
    "fits twice": undeclared("fit_twice", "calls the one that it wraps 2 times"),
    "never fits": undeclared("fit_replaced", "calls the one that it wraps 0 times"),
    "fits with another objective": undeclared("fit_doubled", "hands on another training"),
    "fits without some rows": undeclared("fit_on_fewer", "hands on other rows"),
    "changes the rows before it fits": undeclared("rows_zeroed", "hands on other rows"),
    "fits with other validation rows": undeclared("fit_stopped_on_rows", "hands on other validation rows"),
    "fits with streams of its own": undeclared("fit_with_own_streams", "hands on other streams"),
    "rounds the weights in place": undeclared("weights_rounded", "changes the models that it hands back"),
    "hands back copies": undeclared("fit_copied", "hands back other models"),
    "raises": (
        defense("training", "crashing_stage"),
        "it runs on the toy tasks",
        "on the toy table, training stage it raised RuntimeError: no luck",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "raises when it explains": (
        explainer("explaining_fails"),
        "it runs on the toy tasks",
        "on the toy table, explanations it raised RuntimeError: no luck",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "explains rows by one number": (
        explainer("explained_by_row"),
        EXPLANATIONS,
        "on the toy table, explanations it returned a tensor [40] for inputs [40, 25]",
        *EXPLAINED,
    ),
    "explains by a tuple": (
        explainer("explained_by_tuple"),
        EXPLANATIONS,
        "on the toy table, explanations it returned tuple",
        *EXPLAINED,
    ),
    "explains by what is not finite": (
        explainer("explained_by_nan"),
        EXPLANATIONS,
        "on the toy table, explanations it returned what is not finite for 3 of 40 inputs",
        *EXPLAINED,
    ),
    "doubles the weights that it explains": (
        explainer("explaining_doubles_weights"),
        "it leaves what it is given alone",
        "on the toy table, explanations it changed parameter head.weight of model of the question",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "moves the rows that it explains": (
        explainer("explaining_moves_rows"),
        "it leaves what it is given alone",
        "on the toy table, explanations it changed x of the question",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "explains otherwise each time": (
        explainer("explained_by_luck"),
        "the same key gives the same bits",
        "on the toy table, explanations two runs under one key differ in the result",
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
    "returns a tuple for rows": (
        defense("data", "rows_as_tuple"),
        "its data stage returns valid rows",
        "on the toy table, data stage it returned tuple",
        "Data",
        "return the Data that it is given, changed by dataclasses.replace or the like",
    ),
    "gives negative weights": (
        defense("data", "negative_weights"),
        "its data stage returns valid rows",
        "on the toy table, data stage: the rows it returned: w must be finite and not negative",
        "rows that obey the rules of amulet_core.data.Data",
        "see that every row has a label, a weight and an id of its own, within the declared bounds",
    ),
    "changes the schema": (
        defense("data", "other_schema"),
        "its data stage returns valid rows",
        "on the toy table, data stage the schema of the rows changed",
        "the schema that was given, which victims, attacks and metrics share",
        "keep it: dataclasses.replace(data, x=..., w=...)",
    ),
    "numbers the rows anew": (
        defense("data", "ids_renumbered"),
        "its data stage keeps the ids of the rows",
        "on the toy table, data stage 120 ids are new (first: 0), though no row was added",
        "every id on its own row",
        "choose rows with data.take(positions), which keeps each row together",
    ),
    "shifts the ids": (
        defense("data", "ids_shifted"),
        "its data stage keeps the ids of the rows",
        "on the toy table, data stage 78 ids carry another row's sensitive attributes (first: 1357)",
        "every id on its own row",
        "choose rows with data.take(positions), which keeps each row together",
    ),
    "prepares a tuple": (
        defense("data", "ids_added_to_prepared_of_tuple"),
        "its data stage returns valid rows",
        "on the toy table, data stage it returned tuple",
        "Data",
        "return the Data that it is given, changed by dataclasses.replace or the like",
    ),
    "adds rows with the ids of others": (
        defense("data", "ids_added_not_negative", produces=("mark",)),
        "its data stage keeps the ids of the rows",
        "on the toy table, data stage 3 added rows have ids that are not negative (first: 1)",
        "negative ids of their own, which no row of the data set has",
        "number added rows downwards from min(0, data.id.min()) - 1",
    ),
    "changes weights in place": (
        defense("data", "weights_changed_in_place"),
        "it leaves what it is given alone",
        "on the toy table, data stage it changed w of the rows",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "changes a global setting": (
        defense("data", "data_setting"),
        "it leaves global settings alone",
        "on the toy table, data stage it changed deterministic algorithms (False, then True)",
        "no change",
        "pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
    ),
    "seeds random": (
        defense("data", "data_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of random ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "returns no training": (
        defense("training", "no_training"),
        "its training stage returns a Training",
        "on the toy table, training stage it returned TrainingSettings",
        "Training",
        "return the Training that it is given, changed by dataclasses.replace or the like",
    ),
    "drops the objective": (
        defense("training", "objective_dropped"),
        "it composes with another training defense",
        "on the toy table, training stage another defense, standing before it, had no part in the training",
        "that its objective is called and its draws are made",
        "wrap training.objective and extend draws, parts and evidence instead of replacing them",
    ),
    "drops the draws": (
        defense("training", "draws_dropped"),
        "it composes with another training defense",
        (
            "on the toy table, training stage, another defense standing before it, training raised KeyError: "
            "'conformance nudge'"
        ),
        "a trained model",
        "keep to the contract of objectives (call each network once, search on the frozen one), and extend draws and parts "
        "instead of replacing them",
    ),
    "writes into the evidence": (
        defense("training", "evidence_written_into", produces=("mark",)),
        "it leaves what it is given alone",
        (
            "on the toy table, training stage it changed the size of evidence of the training, mark of evidence "
            "of the training"
        ),
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "leaves evidence undeclared": (
        defense("training", "evidence_undeclared"),
        "it leaves exactly the evidence that it declares",
        "on the toy table the evidence left is mark",
        "none, as produces declares",
        "declare it in produces, and put it into Training.evidence or Fitted.evidence under that name",
    ),
    "declares evidence that it does not leave": (
        defense("training", "weighted", produces=("mark",)),
        "it leaves exactly the evidence that it declares",
        "on the toy table the evidence left is none",
        "mark, as produces declares",
        "declare it in produces, and put it into Training.evidence or Fitted.evidence under that name",
    ),
    "trains from the system's draws": (
        defense("training", "training_never_the_same"),
        "the same seed trains the same bits",
        "on the toy table two trainings with one seed differ in parameter hidden.weight of item 0 of the result",
        "equal bits",
        "draw from the streams it is given, or from the global generators; keep nothing between calls",
    ),
    "leaves a hook": (
        defense("training", "hook_left", wraps_fit=True),
        "the trained model is finite and plain",
        "on the toy table the model has _forward_hooks",
        "the architecture as it was built, in eval mode, without hooks, with finite weights",
        "work on a copy, and hand back the plain module (or say in rebuild what it is put into)",
    ),
    "trains to infinity": (
        defense("training", "not_finite", wraps_fit=True),
        "the trained model is finite and plain",
        "on the toy table training raised ModelOutputError: the model's logits are not finite for 2 of 2 inputs: its "
        "training diverged (lower the learning rate) or its architecture divides by zero",
        "two trained models",
        VMAP,
    ),
    "leaves train mode": (
        defense("training", "in_train_mode", wraps_fit=True),
        "the trained model is finite and plain",
        "on the toy table the model is in train mode",
        "the architecture as it was built, in eval mode, without hooks, with finite weights",
        "work on a copy, and hand back the plain module (or say in rebuild what it is put into)",
    ),
    "wraps the model": (
        defense("training", "wrapped_model", wraps_fit=True),
        "the trained model is finite and plain",
        "on the toy table the model is a Sequential whose state differs in 0.head.bias, 0.head.weight, 0.hidden.bias",
        "the architecture as it was built, in eval mode, without hooks, with finite weights",
        "work on a copy, and hand back the plain module (or say in rebuild what it is put into)",
    ),
    "cannot train two models": (
        defense("training", "fit_crashing"),
        "the trained model is finite and plain",
        "on the toy table training raised ComponentError: made/fit-crashing: RuntimeError: only one at a time",
        "two trained models",
        VMAP,
    ),
    "prunes in place": (
        defense("model", "pruned_in_place"),
        "it leaves what it is given alone",
        "on the toy table, model stage it changed parameter hidden.weight of model of the fitted model",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "returns a module": (
        defense("model", "bare_module"),
        "its model stage returns a Fitted",
        "on the toy table, model stage it returned Network",
        "Fitted",
        "return the Fitted that it is given, changed by dataclasses.replace or the like",
    ),
    "cuts off a logit": (
        defense("model", "fewer_logits"),
        "its model stage returns a Fitted",
        "on the toy table, model stage the logits of its model are [120, 1]",
        "[120, 2]",
        "keep the model's last layer as wide as there are classes",
    ),
    "releases logarithms": (
        defense("inference", "logarithms"),
        "its inference stage maps probabilities to probabilities",
        "on the toy table, inference stage 120 of 120 rows are no probabilities",
        "for every row as many finite values, none negative, that sum to 1",
        "normalise what it returns: p / p.sum(1, keepdim=True)",
    ),
    "releases no distribution": (
        defense("inference", "unnormalised"),
        "its inference stage maps probabilities to probabilities",
        "on the toy table, inference stage 120 of 120 rows are no probabilities",
        "for every row as many finite values, none negative, that sum to 1",
        "normalise what it returns: p / p.sum(1, keepdim=True)",
    ),
    "is random undeclared": (
        defense("inference", "noisy"),
        "it is random, or releases labels only, just where its descriptor says so",
        "on the toy table, inference stage its output is randomised",
        "randomised=False, as the descriptor says",
        "set randomised=True in the descriptor, or mend the stage",
    ),
    "declares randomness that it has not": (
        defense("inference", "smoothed", randomised=True),
        "it is random, or releases labels only, just where its descriptor says so",
        "on the toy table, inference stage its output is not randomised",
        "randomised=True, as the descriptor says",
        "set randomised=False in the descriptor, or mend the stage",
    ),
    "releases labels undeclared": (
        defense("inference", "labels"),
        "it is random, or releases labels only, just where its descriptor says so",
        "on the toy table, inference stage its output is labels only",
        "labels_only=False, as the descriptor says",
        "set labels_only=True in the descriptor, or mend the stage",
    ),
    "returns bare scores": (
        verifier("bare_scores"),
        "its verification scores every suspect",
        "on the toy table, verification: it returned Tensor",
        ANSWER,
        "return VerificationAnswer(score=...), float64, in the order of view.suspects",
    ),
    "scores the first suspect alone": (
        verifier("first_alone"),
        "its verification scores every suspect",
        "on the toy table, verification: verify returned 1 scores for 2 suspects",
        ANSWER,
        "return VerificationAnswer(score=...), float64, in the order of view.suspects",
    ),
    "gives impossible p-values": (
        verifier("wrong_p"),
        "its verification scores every suspect",
        "on the toy table, verification: verify returned p-values outside 0 .. 1",
        ANSWER,
        "return VerificationAnswer(score=...), float64, in the order of view.suspects",
    ),
    "compares suspects": (
        verifier("compared"),
        "its verification scores each suspect for itself",
        "on the toy table, verification suspect 1 gets score 2.0 beside others and score 1.0 alone",
        "the same bits",
        ALONE,
    ),
    "compares suspects in its p-values": (
        verifier("p_compared"),
        "its verification scores each suspect for itself",
        "on the toy table, verification suspect 1 gets score 0.0 and p 0.5 beside others and score 0.0 and p 1.0 alone",
        "the same bits",
        ALONE,
    ),
    "draws for each suspect": (
        verifier("suspects_drawn_for"),
        "its verification scores each suspect for itself",
        "on the toy table, verification suspect 2 gets score 1.0 beside others and score 5.0 alone",
        "the same bits",
        ALONE,
    ),
    "takes more access than it declares": (
        verifier("more_access"),
        "it runs on the toy tasks",
        'on the toy table, verification it raised NotOfferedError: the model in the view has no "probabilities". With this '
        'access it offers attributions, explains, labels, queries; "probabilities" needs access=probabilities or white-box',
        "a result with the default parameters",
        "ask for what it offers, or name the access that is needed in the descriptor",
    ),
    "changes the proof": (
        verifier(
            "proof_changed",
            stages={"data": "mutant_defenses:data_marked"},
            produces=("mark",),
            target="mutant_defenses:data_marked",
        ),
        "it leaves what it is given alone",
        "on the toy table, verification it changed mark/y of proof of the view",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "draws from the system": (
        defense("inference", "wrapper_never_the_same", randomised=True),
        "the same key gives the same bits",
        "on the toy table, inference stage two runs under one key differ in the result",
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
}


def test_an_objective_that_returns_one_loss_is_told_of_the_shape(failures):
    told = "ValueError: the objective returned losses [], expected one for each of 32 rows"
    found = {name: text.partition("training raised ")[2] for name, text in failures(component_checks(ONE_LOSS)).items()}
    assert found == {
        "it composes with another training defense": f"{told}. Expected: a trained model. To fix it: keep to the contract "
        "of objectives (call each network once, search on the frozen one), and extend draws and parts instead of "
        "replacing them.",
        "the trained model is finite and plain": f"ComponentError: made/one-loss: {told}. Expected: two trained models. To "
        f"fix it: {VMAP}.",
    }


ONE_LOSS = defense("training", "one_loss")


def names(entry):
    return {check.name for check in component_checks(entry)}


@pytest.mark.parametrize(("entry", "check", "found", "expected", "fix"), MUTANTS.values(), ids=MUTANTS)
def test_a_defense_that_misbehaves_in_one_way_fails_exactly_one_check(failures, entry, check, found, expected, fix):
    assert failures(component_checks(entry)) == {check: f"found: {found}. Expected: {expected}. To fix it: {fix}."}


@pytest.mark.parametrize("entry", [*WELL_BEHAVED], ids=lambda entry: entry.id)
def test_every_check_of_a_defense_has_a_mutant_that_fails_it(entry):
    assert names(entry) - STATIC <= {check for _, check, *_ in MUTANTS.values()}


@pytest.mark.parametrize("entry", WELL_BEHAVED, ids=lambda entry: entry.id)
def test_a_defense_that_behaves_conforms(failures, entry):
    assert failures(component_checks(entry)) == {}
