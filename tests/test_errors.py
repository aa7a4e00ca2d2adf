import errno
import logging
import sys

import pytest
import torch

from scripts.errors import InputError, plain_errors, plain_message


class Refusing(torch.utils.data.Dataset):
    """Raises as transforms do, wrapped or bare."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __len__(self):
        return 2

    def __getitem__(self, index):
        try:
            raise InputError("no: do this")
        except InputError as error:
            if not self.wrapped:
                raise
            raise RuntimeError(f"applying transform {index}") from error


def caught(function):
    try:
        function()
    except Exception as error:
        return error


@pytest.fixture
def hooked(monkeypatch):
    """Install the hook above one that notes what reaches it, and on a log handler that notes what it is given."""
    others, records = [], []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: others.append(error))
    monkeypatch.setattr(logging.getLogger(), "handlers", [Keep()])
    monkeypatch.delenv("MAE_TRACEBACK", raising=False)
    return others, records


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_message_survives_wrapping_and_workers(workers, wrapped):
    error = caught(lambda: list(torch.utils.data.DataLoader(Refusing(wrapped), num_workers=workers)))
    assert plain_message(error) == "no: do this"


def test_a_full_disk_is_named_and_a_defect_is_not():
    full = OSError(errno.ENOSPC, "No space left on device", "/some/file")
    assert plain_message(full) == "no space left while writing /some/file: free some and run again"
    assert plain_message(OSError(errno.ENOENT, "No such file", "/some/file")) is None
    assert plain_message(KeyError("x")) is None


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    error = caught(lambda: (tmp_path / "file" / "folder").mkdir(parents=True))
    assert plain_message(error).startswith(f"{tmp_path}/file/folder cannot be read or written (Not a directory): ")


def test_hook_prints_one_line_and_leaves_defects_to_the_former_hook(hooked, capsys):
    others, _ = hooked
    plain_errors()
    hook = sys.excepthook
    plain_errors()
    assert sys.excepthook is hook
    defect = KeyError("x")
    hook(InputError, InputError("no: do this"), None)
    hook(KeyError, defect, None)
    assert capsys.readouterr().err == "error: no: do this\n" and others == [defect]


def test_logs_do_not_repeat_what_the_user_is_told(hooked):
    _, records = hooked
    plain_errors()
    for error in (InputError("no: do this"), KeyError("defect")):
        try:
            raise error
        except Exception:
            logging.getLogger("ignite.engine.engine.Trainer").exception("run failed: %s", error)
            logging.getLogger("ignite.engine.engine.Trainer").warning("a warning")
    assert records == ["a warning", "run failed: 'defect'", "a warning"]


def test_logs_of_programs_that_catch_the_error_are_kept(hooked):
    _, records = hooked
    plain_errors()
    try:
        raise InputError("no: do this")
    except InputError as error:
        logging.getLogger("ClientAlgoExecutor").error("initialize exception: %s", error)
    assert records == ["initialize exception: no: do this"]


def test_tracebacks_can_be_had(hooked, monkeypatch):
    monkeypatch.setenv("MAE_TRACEBACK", "1")
    former = sys.excepthook
    plain_errors()
    assert sys.excepthook is former
