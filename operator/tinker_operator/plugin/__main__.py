"""`python -m tinker_operator.plugin`: the same command, where no script is installed."""

from tinker_operator.plugin.main import main

main()
