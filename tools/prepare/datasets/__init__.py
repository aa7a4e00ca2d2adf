"""One module for each dataset, named as on the command line, that knows its release's own layout."""
