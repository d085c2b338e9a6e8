"""The words that options take.

Those of other rooms stand here again so that a shell is offered them without loading NumPy; the tests hold them to
what the commands take.
"""

from cvfp_cli.laws.names import JOINTS, single

DEVICES = ("auto", "cpu", "cuda", "mps")
EXECUTORS = ("serial", "processes", "ray")
PRECISIONS = ("float32", "tf32", "bf16")
KINDS = ("cvfp", "end-to-end", "ngram", "gru", "lstm", "transformer")
EMPTY = ("skip", "refuse")
MESSAGES = ("all", "first")

OBJECTIVES = ("log", "ppl")
Y_UNITS = ("ppl", "nats", "bits", "bpb", "accuracy", "error", "other")
BOOTSTRAP_KINDS = ("residual", "parametric", "case")
GOALS = ("alpha", "ppl@", "asymptote", "difference:")
FACTORS = ("layers", "tokens", "context_dim", "token_input", "kind", "study")
SECTIONS = (
    "answer",
    "summary",
    "ablations",
    "recommendations",
    "heatmaps",
    "factors",
    "laws",
    "surfaces",
    "expressiveness",
    "details",
    "previous",
    "overview",
    "reproduction",
)
LENGTHS = ("full", "short")
LANGUAGES = ("en", "ja")
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


def laws_or_all() -> tuple[str, ...]:
    """Names of laws; those that were registered while the program runs are among them."""
    return (*single(), *JOINTS, "all")


LAWS_OR_ALL = laws_or_all()
