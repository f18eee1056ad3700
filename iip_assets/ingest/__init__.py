"""Batches on their way in and out: the inbox, what is taken or sent back, other tools' formats."""
