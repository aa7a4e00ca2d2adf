"""The demo: every step of the road from unlabelled scans to a segmentation, and a report."""
