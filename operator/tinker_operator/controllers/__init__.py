"""The shell, one module per duty: observe, act, report. What to do is decided in `core`."""
