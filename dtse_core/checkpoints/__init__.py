"""The checkpoint that ships with the package, and the loader of any other one."""
