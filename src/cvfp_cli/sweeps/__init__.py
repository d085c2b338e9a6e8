"""A grid becomes a list of experiments; an executor runs them and stores each result.

Nothing here imports torch before an experiment is run.
"""
