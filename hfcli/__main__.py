"""`python -m hfcli` is the same command as `hfcli`; it is also what launchers start."""

from hfcli.cli.app import main

if __name__ == "__main__":
    main()
