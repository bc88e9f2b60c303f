"""The small real model behind the simulator: loss falls with steps, optimizer state matters, all is deterministic.

Pure numpy: no clock, no files, no sockets. Called by `tinker_simulator.execution`.
"""
