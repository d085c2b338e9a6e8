"""Statistics: solvers, regressions, the error model, comparisons. No law stands here by name."""
