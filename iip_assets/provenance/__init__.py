"""Where a value comes from, and how two states differ. Prints nothing."""
