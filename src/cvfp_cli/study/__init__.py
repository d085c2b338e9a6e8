"""What a fit reads: files into groups of points, the only place where runs are grouped."""
