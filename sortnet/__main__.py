"""`python -m sortnet` is the command `sortnet`."""

from sortnet.cli.main import main

if __name__ == "__main__":
    main()
