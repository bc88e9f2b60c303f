"""A Tinker service for tests and demonstrations: the real wire, a small real model, and faults on demand.

The official SDK and its command line run against it unmodified. `tinker_simulator.app.make_app` builds the web
application for use in a process; `tinker-simulator serve` runs it as a program.
"""
