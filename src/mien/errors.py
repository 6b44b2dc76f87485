"""The errors: every one that mien raises on purpose, and nothing else.

MienError
├── UserError                 the user's mistake: a message, exit code 2
│   ├── SourceNotFoundError   a path does not exist or cannot be read       FileNotFoundError
│   ├── NotADatasetError      the folder is not a folder of class folders   ValueError
│   ├── TooFewImagesError     a class is too small for the split            ValueError
│   ├── SettingsError         a setting has no meaning, or two contradict   ValueError
│   ├── OutputError           a file or folder cannot be written            OSError
│   ├── ModelFileError        a file is not a mien classifier               ValueError
│   ├── BackboneError         a pretrained network cannot be used           ValueError
│   └── MissingExtraError     an optional package is not installed          ImportError
├── ImageError                one picture cannot be used; has `problem`     ValueError
├── FetchError                one URL cannot be fetched                     OSError
├── IntakeError               an archive or a repository cannot be used     ValueError
├── ExportMismatchError       a saved model answers differently             ArithmeticError
└── GateError                 a gate said no: exit code 3                   ValueError
    └── LeakError             a copy of a picture to judge by was trained on
"""


class MienError(Exception):
    """Anything that mien raises on purpose."""


class UserError(MienError):
    """The user can put it right; the message says how."""


class SourceNotFoundError(UserError, FileNotFoundError):
    """A path does not exist, or may not be read."""


class NotADatasetError(UserError, ValueError):
    """The folder does not hold one sub-folder for each of two or more classes."""


class TooFewImagesError(UserError, ValueError):
    """A class has too few usable pictures for the split asked for."""


class SettingsError(UserError, ValueError):
    """A setting is out of range, unknown, or contradicts another."""


class OutputError(UserError, OSError):
    """A file or folder cannot be written: no room, no permission, or in the way."""


class ModelFileError(UserError, ValueError):
    """A file is not a classifier that this version of mien can read."""


class BackboneError(UserError, ValueError):
    """A pretrained network cannot be used: it is not there, cannot be fetched, or is not of the kind needed."""


class MissingExtraError(UserError, ImportError):
    """An optional package is needed; the message gives the command that installs it."""


class ImageError(MienError, ValueError):
    """One picture cannot be used.

    Attributes:
        problem: The problem code, such as "unreadable" (the codes stand in `mien.dataset`).
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


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


class ExportMismatchError(MienError, ArithmeticError):
    """A saved model does not give the answers of the model it was made from."""


class GateError(MienError, ValueError):
    """A gate that the user set found what it must not."""


class LeakError(GateError):
    """Pictures to judge by, or near copies of them, were trained on; the message names the pairs."""
