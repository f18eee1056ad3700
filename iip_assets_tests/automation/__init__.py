"""Tests of the sensors, of what they decide, and of alarms."""
