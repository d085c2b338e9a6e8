"""The models that a user would pick instead of CVFP, on the same streams, judged by the same rule."""
