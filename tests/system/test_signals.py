from __future__ import annotations

import signal
import time

import pytest

from credential_helper.system import signals
from credential_helper.system.signals import Interrupted, Interrupts


@pytest.fixture
def interrupts(default_signals: None) -> Interrupts:  # noqa: ARG001 - it takes them over, and they are put back
    one = Interrupts()
    one.install()
    return one


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_obeyed_at_once(interrupts: Interrupts, number: int, code: int) -> None:
    assert interrupts is not None
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert caught.value.exit_code == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_held_signal_is_obeyed_afterwards(interrupts: Interrupts, number: int) -> None:
    done = []
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(number)
        done.append("saved")
    assert done == ["saved"]


def test_a_held_signal_wins_over_an_error_in_the_block(interrupts: Interrupts) -> None:
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError


def test_a_second_ctrl_c_is_obeyed_even_when_held(interrupts: Interrupts) -> None:
    done = []
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        done.append("first")
        signal.raise_signal(signal.SIGINT)
        done.append("second")
    assert done == ["first"]


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_an_object_is_finalized_is_obeyed_a_moment_later(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(Interrupted) as caught:
        Finalized()
        time.sleep(60)
    assert caught.value.exit_code == 128 + number
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("interrupts")
def test_one_that_comes_again_before_that_is_over_is_obeyed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine the moment is shorter than what it is for."""
    send_again = signals._send_again

    def slowly(number: int) -> None:
        send_again(number)
        if len(sent) < 3:
            sent.append(number)
            time.sleep(0.1)

    sent: list[int] = []
    monkeypatch.setattr(signals, "_send_again", slowly)

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        Finalized()
        time.sleep(60)
    assert len(sent) > 1
    assert capfd.readouterr() == ("", "")


def test_without_a_signal_nothing_happens(interrupts: Interrupts) -> None:
    with interrupts.held():
        pass


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Interrupts().install()
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
