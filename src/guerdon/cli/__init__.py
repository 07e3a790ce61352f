"""The command line. It sees every room; each command is a thin front of a function that Python users call too."""
