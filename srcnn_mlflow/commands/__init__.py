"""What each entry point does: the rooms of the package joined, one file a command."""
