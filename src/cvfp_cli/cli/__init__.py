"""The command line: one module a subcommand. Read options, call, print; no maths, no file formats."""
