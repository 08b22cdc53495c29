"""`python -m facevc_cli`, and the console script."""

import os
import signal


def main() -> None:
    """Runs the command line.

    Until that is loaded, Ctrl-C ends the process without a traceback: nothing has begun yet.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    from facevc_cli.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
