"""`python -m facevc_cli`: the same as the console script."""

from facevc_cli.cli.app import main

if __name__ == "__main__":
    main()
