"""The checkpoint that ships with the package, and how any other one is found."""
