"""Controlled experiments: what a study asks, run through the bundles, one record per run."""
