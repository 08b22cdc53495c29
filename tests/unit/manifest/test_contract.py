"""manifest/contract.py: what convert and evaluate agree on is defined once."""

import ast
from pathlib import Path

import facevc_cli
from facevc_cli.manifest import contract

ROOT = Path(facevc_cli.__file__).parent
OWN = {contract.MANIFEST, contract.ADDRESSES, contract.SEPARATOR, contract.FEMALE, contract.MALE}
# a marker of matplotlib's, and regular expressions
OTHERS = {("plots.py", "|"), ("english.py", "|"), ("normalise.py", "|")}


def test_the_contract_is_written_once():
    for path in ROOT.rglob("*.py"):
        if path != ROOT / "manifest" / "contract.py":
            found = {
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant)
            }
            repeated = {(path.name, text) for text in found if isinstance(text, str) and text in OWN}
            assert repeated <= OTHERS, path


def test_a_cell_of_several_files():
    assert contract.split_files("a.wav| b.wav||c.wav|") == ["a.wav", " b.wav", "c.wav"]
    assert contract.split_files("") == contract.split_files(" | ") == []
