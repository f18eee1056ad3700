"""The report's sections, a file each: a function from the assets' values to a `Section`."""
