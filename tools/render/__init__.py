"""Bundles from their cards and templates: rendered whole, written to disk, compared with what is there."""
