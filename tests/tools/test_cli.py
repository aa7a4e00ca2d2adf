import io
import os
import signal
import subprocess
import sys

import pytest

from scripts.errors import InputError
from tools.cli import cli
from tools.project import ROOT


@pytest.fixture
def signals():
    """Let SIGINT interrupt, which a shell's background process ignores, and put everything back."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the tools replace
    return []


def test_the_command_runs_with_what_was_given(calls):
    def average(output: str, *inputs: str, half: bool = False) -> None:
        calls.append((output, inputs, half))

    cli(average, ["out", "a", "b", "--half"])
    cli({"average": average, "other": print}, ["average", "--output=out"])
    assert calls == [("out", ("a", "b"), True), ("out", (), False)]


@pytest.mark.parametrize("arguments", [["out", "--haf"], ["out", "--half=True", "extra"], ["--half"]])
def test_a_misspelled_option_stops_the_command_before_it_starts(calls, arguments, capsys):
    def average(output: str, half: bool = False) -> None:
        calls.append(output)

    with pytest.raises(SystemExit) as end:
        cli(average, arguments)
    assert end.value.code == 2 and not calls
    assert "ERROR" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--half=false"], ["--half", "no"], ["--half=1"]])
@pytest.mark.parametrize("several", [False, True])
def test_a_switch_is_true_or_false_and_no_text(calls, given, several):
    def average(output: str, half: bool = False, **knobs: object) -> None:
        calls.append((half, knobs))

    component, before = ({"average": average}, ["average"]) if several else (average, [])
    with pytest.raises(InputError, match="half is .*; write True or False"):
        cli(component, [*before, "out", *given])
    cli(component, [*before, "out", "--half=False", "--amp=false"])
    assert calls == [(False, {"amp": "false"})]


@pytest.mark.parametrize("given", ["scans#1", "2025_11_27", "(a)", "1.10", "None"])
def test_a_text_stays_as_it_was_written(calls, given):
    def average(data: str, *checkpoints: str, version: str | None = "1", size: int = 0, knob: object = 0) -> None:
        calls.append((data, checkpoints, version, size, knob))

    cli(average, ["--data", given])
    cli({"average": average}, ["average", given, given, f"--version={given}", "--size", "-7", "--knob", "{a: [1, b]}"])
    version = None if given == "None" else given
    assert calls == [(given, (), "1", 0, 0), (given, (given,), version, -7, {"a": [1, "b"]})]
    with pytest.raises(InputError, match="--data has no value: give one"):
        cli(average, ["--data", "--size", "7"])


def test_help_is_that_of_the_function(calls, capsys):
    def average(output: str) -> None:
        """Average some weights.

        Args:
            output: file to write.
        """
        calls.append(output)

    with pytest.raises(SystemExit) as end:
        cli(average, ["--help"])
    text = capsys.readouterr()
    assert end.value.code == 0 and not calls
    assert "Average some weights." in text.out + text.err and "file to write." in text.out + text.err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_how_to_go_on(calls, signals, stop, capsys):
    def work() -> None:
        os.kill(os.getpid(), stop)
        signal.sigtimedwait([], 5)
        calls.append("not stopped")

    with pytest.raises(SystemExit) as end:
        cli(work, [], resumes=True)
    assert end.value.code == 130 and not calls
    assert "the same command continues" in capsys.readouterr().err


def test_names_of_any_encoding_are_printed():
    program = """
from tools.cli import cli
def named(path: str) -> None:
    print(path)
cli(named)
"""
    for encoding, shown in {"utf-8:strict": "M\\udcfcller für", "ascii": "M\\udcfcller f\\xfcr"}.items():
        ended = subprocess.run(
            [sys.executable, "-c", program, b"M\xfcller f\xc3\xbcr"],
            env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"},
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        assert ended.stdout.decode() == f"{shown}\n" and not ended.stderr


def test_what_is_no_file_is_printed_to_as_well(calls, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    cli(print, [])
    assert sys.stdout.getvalue() == "\n"


def test_a_stop_of_what_cannot_go_on_says_nothing_of_a_training():
    program = """
from tools.cli import cli
def stopped():
    raise KeyboardInterrupt
cli(stopped, [])
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGINT and ended.stderr == "error: stopped\n"


def test_errors_pass(calls):
    def refuse() -> None:
        raise InputError("no: do this")

    with pytest.raises(InputError, match="no: do this"):
        cli(refuse, [])
