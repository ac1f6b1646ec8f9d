"""What the notebooks ask the reader to write, checked: a module for each notebook."""
