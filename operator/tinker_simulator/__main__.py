"""`python -m tinker_simulator` is `tinker-simulator`."""

from tinker_simulator.cli import main

main()
