"""`python -m hfcli` is the same command as `hfcli`.

It runs in one process: a launcher of several, such as torchrun, is refused (`hfcli.process`).
"""

from hfcli.cli.app import main

if __name__ == "__main__":
    main()
