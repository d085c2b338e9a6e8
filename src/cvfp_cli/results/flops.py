"""Operations of runs from before they were recorded: CVFP in one block, whose file says what its head is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cvfp_cli.results.schema import CVFP, Run


def with_flops(run: Run, data: Mapping[str, Any]) -> Run:
    """The run with the operations that its learner would have recorded, where its file tells them.

    Each phase-1 iteration after the untrained one is 6 N_C T; each epoch (4 V E + 6 N_T + 2 N_C) T in training and
    2 (V E + N_T + N_C) M in validation, for T and M tokens, N_C and N_T parameters of the two blocks, and a table of
    V rows and width E.

    Args:
        data: the summary's table of that name, which has V.
    """
    tokenizer = data.get("tokenizer")
    vocab_size = tokenizer.get("vocab_size") if isinstance(tokenizer, dict) else None
    steps = {stage.name: stage.steps for stage in run.stages}
    context, token = run.parameters.context_block, run.parameters.token_block
    if run.flops is not None or run.kind != CVFP or run.status != "done" or not isinstance(vocab_size, int):
        return run
    if any(name not in ("phase1", "contexts", "phase2") for name in steps):
        return run  # several blocks, whose iterations are each block's own
    iterations, epochs = steps.get("phase1"), steps.get("phase2")
    known = (context, token, run.embed_dim, run.train_tokens, run.val_tokens, iterations, epochs)
    context, token, width, trained, validated, iterations, epochs = (value or 0 for value in known)
    if None in known:
        return run
    head = vocab_size * width
    first = 6.0 * context * trained * (max(iterations - 1, 1) if iterations else 0)
    epoch = (4.0 * head + 6.0 * token + 2.0 * context) * trained + 2.0 * (head + token + context) * validated
    return replace(run, flops=first + epochs * epoch)
