"""``python -m vidsift`` is the ``vidsift`` program."""

from vidsift.cli.main import main

if __name__ == "__main__":
    main()
