"""A team's own workspace: making one, checking one, and the words in which it is summed up."""
