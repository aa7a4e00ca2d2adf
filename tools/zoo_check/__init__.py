"""Most of what the CI of MONAI's model zoo checks, offline, on bundle folders and release zips."""
