"""`python -m tinker_operator.cli`: the same command, where no script is installed."""

from tinker_operator.cli.main import main

main()
