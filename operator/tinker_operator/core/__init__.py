"""The decisions, as values: no clock, no await, no logging. Time is an argument, effects are returned."""
