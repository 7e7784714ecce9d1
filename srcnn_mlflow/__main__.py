"""`python -m srcnn_mlflow`: the commands, from the code of the folder one stands in."""

from srcnn_mlflow.cli import main

main()
