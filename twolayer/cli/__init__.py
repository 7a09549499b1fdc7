"""The command ``twolayer``: one program with a subcommand for each thing to do."""
