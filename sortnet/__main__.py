"""`python -m sortnet` is the command `sortnet`."""

from sortnet.cli.main import command

if __name__ == "__main__":
    command()
