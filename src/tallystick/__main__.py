"""`python -m tallystick` and the `tally` command are one and the same program."""

from tallystick.cli.main import main

if __name__ == "__main__":
    main()
