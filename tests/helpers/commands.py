"""Commands, called in this process."""

from click.testing import Result
from typer.testing import CliRunner

from facevc_cli.cli.app import app


def call(*arguments: object) -> Result:
    """Runs `facevc` with these arguments, in a terminal too wide to break lines."""
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
