"""Who is served worse, what helps, and what can be promised."""
