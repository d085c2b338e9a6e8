"""Who runs jobs: ``base`` says what every executor does, each other file is one of them.

An executor takes jobs and tells what becomes of them. It knows no results folder: only the parent's side
(``sweeps/recording.py``) writes there, and a job under way only its own checkpoint (``sweeps/work.py``).
"""
