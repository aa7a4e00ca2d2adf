"""What an experiment's records say: tables, figures and a page, rendered from them alone."""
