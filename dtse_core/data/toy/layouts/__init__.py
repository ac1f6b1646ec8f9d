"""The toy world written as files: one module for each data set whose layout it takes."""
