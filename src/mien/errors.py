"""The errors: every one that mien raises on purpose, and nothing else.

MienError
├── UserError                 the user's mistake: a message, exit code 2
│   ├── SourceNotFoundError   a path does not exist or cannot be read       FileNotFoundError
│   ├── NotADatasetError      the folder is not a folder of class folders   ValueError
│   ├── TooFewImagesError     a class is too small for the split            ValueError
│   ├── SettingsError         a setting has no meaning, or two contradict   ValueError
│   ├── OutOfTimeError        what must be done takes longer than it may    TimeoutError
│   ├── OutputError           a file or folder cannot be written            OSError
│   ├── ModelFileError        a file is not a mien classifier               ValueError
│   ├── BackboneError         a pretrained network cannot be used           ValueError
│   └── MissingExtraError     an optional package is not installed          ImportError
├── ImageError                one image cannot be used; has `problem`     ValueError
├── FetchError                one URL cannot be fetched                     OSError
├── IntakeError               an archive or a repository cannot be used     ValueError
├── ServiceError              a request to the server is refused
│   ├── RequestError          it is not one that the server knows           ValueError
│   ├── WrongMediaTypeError   it brings something else than images        ValueError
│   ├── TooLargeError         it goes beyond a limit of size or number      ValueError
│   ├── SlowRequestError      it did not come in whole in time              TimeoutError
│   ├── WrongKeyError         it does not bring the API key                 PermissionError
│   ├── ForbiddenError        it asks for what the server does not do       PermissionError
│   ├── BusyError             others are served first; has `retry_after_s`
│   └── NotReadyError         the server is stopping, or was too slow
└── GateError                 a gate said no: exit code 3                   ValueError
    ├── ExportMismatchError   a saved model answers differently             ArithmeticError
    └── LeakError             a copy of an image to judge by was trained on
"""


class MienError(Exception):
    """Anything that mien raises on purpose."""

    @property
    def detail(self) -> str:
        """The message without what a user of the command line can do."""
        return str(self)


class UserError(MienError):
    """The user can put it right; the message says how."""


class SourceNotFoundError(UserError, FileNotFoundError):
    """A path does not exist, or may not be read."""


class NotADatasetError(UserError, ValueError):
    """The folder does not hold one sub-folder for each of two or more classes."""


class TooFewImagesError(UserError, ValueError):
    """A class has too few usable images for the split asked for."""


class SettingsError(UserError, ValueError):
    """A setting is out of range, unknown, or contradicts another."""


class OutOfTimeError(UserError, TimeoutError):
    """What must be done would take longer than the user allows."""


class OutputError(UserError, OSError):
    """A file or folder cannot be written: no room, no permission, or in the way."""


class ModelFileError(UserError, ValueError):
    """A file is not a classifier that this version of mien can read."""


class BackboneError(UserError, ValueError):
    """A pretrained network cannot be used: it is not there, cannot be fetched, or is not of the kind needed."""


class MissingExtraError(UserError, ImportError):
    """An optional package is needed; the message gives the command that installs it."""


class ImageError(MienError, ValueError):
    """One image cannot be used.

    Attributes:
        problem: The problem code, such as "unreadable" (the codes stand in `mien.data.dataset`).
    """

    def __init__(self, problem: str, detail: str, advice: str = "") -> None:
        super().__init__(f"{detail} ({advice})" if advice else detail)
        self.problem, self._detail, self._advice = problem, detail, advice

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str, str]]:
        """Let another process have it whole."""
        return ImageError, (self.problem, self._detail, self._advice)

    @property
    def detail(self) -> str:
        """The message without what a user of the command line can do."""
        return self._detail


class FetchError(MienError, OSError):
    """One URL cannot be fetched, or must not be.

    Attributes:
        reason: The message without the URL.
        may_pass: Whether the same try may go well a little later.
        status_code: What the server answered; 0 where it was not asked, or did not say.
        retry_after_s: How long the server asks to wait before the next try; 0 where it does not say.
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
    """An archive or a repository is damaged, goes beyond a limit, or must not be opened."""


class ServiceError(MienError):
    """A request to the server is refused; the message is shown to whoever sent it, and repeats nothing of it."""


class RequestError(ServiceError, ValueError):
    """A request is not one that the server knows."""


class WrongMediaTypeError(ServiceError, ValueError):
    """A request brings something else than images."""


class TooLargeError(ServiceError, ValueError):
    """A request goes beyond a limit of size or number."""


class SlowRequestError(ServiceError, TimeoutError):
    """A request did not come in whole in time."""


class WrongKeyError(ServiceError, PermissionError):
    """A request does not bring the API key."""


class ForbiddenError(ServiceError, PermissionError):
    """A request asks for what this server does not do, or comes from where it must not."""


class BusyError(ServiceError):
    """As many requests are waiting as may.

    Attributes:
        retry_after_s: When another try may go well, in whole seconds.
    """

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReadyError(ServiceError):
    """The server is stopping, or could not answer in time."""


class GateError(MienError, ValueError):
    """A gate that the user set, or that mien always sets, found what it must not."""


class ExportMismatchError(GateError, ArithmeticError):
    """A saved model does not give the answers of the model it was made from."""


class LeakError(GateError):
    """Images to judge by, or near copies of them, were trained on; the message names the pairs."""
