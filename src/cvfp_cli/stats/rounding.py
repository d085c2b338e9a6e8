"""How far y is known at best, whatever the residuals say.

Figures in tables have six or seven digits, which leaves 1e-7 to 4e-6 of ln y unknown; single precision, which runs are
trained and evaluated in, has 6e-8 a step. Residuals below that are rounding, of the table or of the fit itself, which
ends with some 1e-16: no draws from an error, so that nothing follows from what a law leaves of them, and no law that
leaves 1e-16 fits better than one that leaves 1e-12. As a miss of each run it is far below the noise of any training.
"""

ROUNDING = (
    1e-6  # of ln y, or of y in units of its mean: a standard deviation of each run that is always there
)
