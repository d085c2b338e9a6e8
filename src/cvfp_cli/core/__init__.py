"""The model and the trainer that every subcommand shares. PyTorch only: no files, no printing.

``core.config`` imports without torch; everything else here needs it.
"""
