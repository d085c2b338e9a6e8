"""Scaling laws: fits, intervals, selection and comparison. NumPy and ``scipy.special`` only, never torch."""

from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.scaling.groups import Source, group_runs
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.result import Estimate, Fit
from cvfp_cli.scaling.summary import summary_fits

__all__ = ["Estimate", "Fit", "Points", "Source", "fit_law", "group_runs", "summary_fits"]
