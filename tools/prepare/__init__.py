"""Turn a public release, as it is downloaded, into one common form that the bundles read."""
