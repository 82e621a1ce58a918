"""What a machine proves itself with: two proofs are one, and a command makes all of it unknown."""

from __future__ import annotations

from credential_helper.model import Secret
from credential_helper.proof import UNKNOWN, Proof

FILE = Proof(files=(("/run/secret", "stamp"),))
VARIABLE = Proof(variables=(("CI_SECRET", Secret("s3cr3t")),))


def test_two_proofs_are_one() -> None:
    both = FILE + VARIABLE
    assert (both.files, both.variables, both.replayable) == (FILE.files, VARIABLE.variables, True)
    assert both + FILE + Proof() == both


def test_what_changed_between_two_reads_stays_twice() -> None:
    assert (VARIABLE + Proof(variables=(("CI_SECRET", None),))).variables == (*VARIABLE.variables, ("CI_SECRET", None))
    assert (FILE + Proof(files=(("/run/secret", "later"),))).files == (*FILE.files, ("/run/secret", "later"))


def test_one_command_is_enough_to_know_nothing() -> None:
    assert not (FILE + UNKNOWN).replayable
    assert not (UNKNOWN + FILE).replayable


def test_a_secret_is_not_shown() -> None:
    assert "s3cr3t" not in repr(VARIABLE)
