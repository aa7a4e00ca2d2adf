"""A bundle for one's own labelled data: checked, measured, planned, rendered and tried in one command."""
