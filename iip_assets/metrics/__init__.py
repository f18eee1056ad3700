"""How good a model is, in numbers with intervals: functions that know no image and no group."""
