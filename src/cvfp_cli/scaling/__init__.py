"""Scaling laws: fits, intervals, selection and comparison. NumPy and ``scipy.special`` only, never torch."""

from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.scaling.result import Estimate, Fit
from cvfp_cli.scaling.summary import summary_fits
from cvfp_cli.study.groups import Source, group_runs
from cvfp_cli.study.points import Points

__all__ = ["Estimate", "Fit", "Points", "Source", "fit_law", "group_runs", "summary_fits"]
