"""Getting a data set and checking it: `dtse prepare` is the command line of this folder."""
