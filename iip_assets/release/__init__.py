"""Release: the page that ties the graph together, and the headline numbers."""
