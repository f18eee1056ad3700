"""The report's sections: each a function from the assets' values to a `Section`."""
