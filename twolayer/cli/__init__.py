"""The command ``twolayer`` and its subcommands."""
