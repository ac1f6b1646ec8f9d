"""One notebook run headlessly, a grid of them, and what is made of the results."""
