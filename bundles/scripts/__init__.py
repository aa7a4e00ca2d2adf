"""Shared components of the MAE bundles; every bundle and every release zip carries this package as `scripts`."""
