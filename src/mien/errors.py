"""Errors: every exception that mien raises on purpose.

MienError
├── UserError                 a mistake the user can correct: exit code 2
│   ├── SourceNotFoundError   a path does not exist or cannot be read       FileNotFoundError
│   ├── NotADatasetError      a folder is not a dataset folder              ValueError
│   ├── TooFewImagesError     a class is too small for the split            ValueError
│   ├── SettingsError         a setting is invalid or contradicts another   ValueError
│   ├── OutOfTimeError        the work would exceed the time limit          TimeoutError
│   ├── OutputError           a file or folder cannot be written            OSError
│   ├── ModelFileError        a file is not a mien classifier               ValueError
│   ├── BackboneError         a pretrained network cannot be used           ValueError
│   └── MissingExtraError     an optional package is not installed          ImportError
├── ImageError                an image cannot be used; has `problem`        ValueError
├── FetchError                a URL cannot be fetched                       OSError
├── IntakeError               an archive or repository cannot be used       ValueError
├── ServiceError              the server refuses a request
│   ├── RequestError          it is malformed                               ValueError
│   ├── WrongMediaTypeError   it contains something other than images       ValueError
│   ├── TooLargeError         it exceeds a limit of size or number          ValueError
│   ├── SlowRequestError      it was not received in time                   TimeoutError
│   ├── WrongKeyError         the API key is missing or wrong               PermissionError
│   ├── ForbiddenError        it asks for something not allowed             PermissionError
│   ├── BusyError             the queue is full; has `retry_after_s`
│   └── NotReadyError         the server is stopping, or was too slow
└── GateError                 a check failed: exit code 3                   ValueError
    ├── ExportMismatchError   an exported model gives other predictions     ArithmeticError
    └── LeakError             test images, or copies, were trained on
"""


class MienError(Exception):
    """The base class of all exceptions that mien raises on purpose."""

    @property
    def detail(self) -> str:
        """The message without advice for the command line."""
        return str(self)


class UserError(MienError):
    """A mistake that the user can correct; the message says how."""


class SourceNotFoundError(UserError, FileNotFoundError):
    """A path does not exist or cannot be read."""


class NotADatasetError(UserError, ValueError):
    """The classes of the images in a folder cannot be determined, or there are fewer than two."""


class TooFewImagesError(UserError, ValueError):
    """A class has too few usable images for the requested split."""


class SettingsError(UserError, ValueError):
    """A setting is out of range, unknown, or contradicts another one."""


class OutOfTimeError(UserError, TimeoutError):
    """The work would take longer than the user allows."""


class OutputError(UserError, OSError):
    """A file or folder cannot be written: no space, no permission, or something is in the way."""


class ModelFileError(UserError, ValueError):
    """A file is not a classifier that this version of mien can read."""


class BackboneError(UserError, ValueError):
    """A pretrained network cannot be used: it is missing, cannot be downloaded, or has the wrong format."""


class MissingExtraError(UserError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class ImageError(MienError, ValueError):
    """An image cannot be used.

    Attributes:
        problem: The problem code, e.g. "unreadable" (listed in `mien.data.dataset`).
    """

    def __init__(self, problem: str, detail: str, advice: str = "") -> None:
        super().__init__(f"{detail} ({advice})" if advice else detail)
        self.problem, self._detail, self._advice = problem, detail, advice

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str, str]]:
        """Pickle it with all its parts."""
        return ImageError, (self.problem, self._detail, self._advice)

    @property
    def detail(self) -> str:
        """The message without advice for the command line."""
        return self._detail


class FetchError(MienError, OSError):
    """A URL cannot be fetched, or is forbidden.

    Attributes:
        reason: The message without the URL.
        may_pass: Whether trying again later may succeed.
        status_code: HTTP status of the response, or 0 if there was none.
        retry_after_s: Seconds to wait before the next attempt, as requested by the server, or 0.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        may_pass: bool = False,
        status_code: int = 0,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.may_pass = may_pass
        self.status_code = status_code
        self.retry_after_s = retry_after_s


class IntakeError(MienError, ValueError):
    """An archive or a repository is damaged, exceeds a limit, or must not be opened."""


class ServiceError(MienError):
    """The server refuses a request. The client sees the message, which repeats nothing from the request."""


class RequestError(ServiceError, ValueError):
    """A request is malformed."""


class WrongMediaTypeError(ServiceError, ValueError):
    """A request contains something other than images."""


class TooLargeError(ServiceError, ValueError):
    """A request exceeds a limit of size or number."""


class SlowRequestError(ServiceError, TimeoutError):
    """A request was not received in time."""


class WrongKeyError(ServiceError, PermissionError):
    """The API key of a request is missing or wrong."""


class ForbiddenError(ServiceError, PermissionError):
    """A request asks for something that this server does not allow, or comes from a forbidden origin."""


class BusyError(ServiceError):
    """The queue of requests is full.

    Attributes:
        retry_after_s: Whole seconds to wait before trying again.
    """

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReadyError(ServiceError):
    """The server is stopping, or could not respond in time."""


class GateError(MienError, ValueError):
    """A check failed that the user asked for, or that mien always makes."""


class ExportMismatchError(GateError, ArithmeticError):
    """An exported model does not give the same predictions as the original."""


class LeakError(GateError):
    """Test images, or near-duplicates of them, were trained on; the message lists the pairs."""
