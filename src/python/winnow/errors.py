"""errors.py -- what winnow raises: libwinnow's statuses, with its messages as they are."""


class Error(Exception):
    """Any failure of the library. `status` is its name in <winnow/core.h> ("format", "not found", ...); `line` and
    `offset` (bytes) say where in a file, None where unknown."""

    def __init__(self, message, status="internal", line=None, offset=None):
        super().__init__(message)
        self.status = status
        self.line = line
        self.offset = offset

    def __reduce__(self):  # so that it passes between processes whole
        return type(self), (*self.args, self.status, self.line, self.offset)


class ArgumentError(Error, ValueError):
    """A value that is not acceptable: k = 0, an empty query."""


class TooLongError(Error, ValueError):
    """A text longer than the model reads, under length_policy="error"."""


class TruncationWarning(UserWarning):
    """A model did not read some texts to their end."""


_CLASSES = {"argument": ArgumentError, "too long": TooLongError}


def error_of(status, message, line, offset):
    return _CLASSES.get(status, Error)(message, status, line if line >= 0 else None, offset if offset >= 0 else None)
