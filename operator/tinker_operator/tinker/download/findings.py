"""What can be wrong with an export that is whole as files; each finding is a value with a name and a sentence.

A finding is a verdict about the content, never about the way it came: whoever recovers a run from it may act upon it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong with a file.

    Args:
        file: Its name in the folder.
    """

    file: str

    @property
    def reason(self) -> str:
        """The class's name: a CamelCase word, fit for the reason of a Kubernetes condition."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class Missing(Finding):
    """A file that every export has is not there."""

    def __str__(self) -> str:
        return f"{self.file} is missing"


@dataclass(frozen=True, slots=True)
class Encrypted(Finding):
    """A file is encrypted for somebody; what it holds cannot be judged."""

    def __str__(self) -> str:
        return f"{self.file} is encrypted"


@dataclass(frozen=True, slots=True)
class BadConfig(Finding):
    """The adapter's configuration cannot be read.

    Args:
        file: See Finding.
        detail: In what way.
    """

    detail: str

    def __str__(self) -> str:
        return f"{self.file} cannot be read: {self.detail}"


@dataclass(frozen=True, slots=True)
class Truncated(Finding):
    """A file ends before its tensors do.

    Args:
        file: See Finding.
        expected: Bytes that it must have.
        actual: Bytes that it has.
    """

    expected: int
    actual: int

    def __str__(self) -> str:
        return f"{self.file} is cut short: {self.actual} of {self.expected} bytes"


@dataclass(frozen=True, slots=True)
class Surplus(Finding):
    """A file goes on after its tensors.

    Args:
        file: See Finding.
        expected: Bytes that it must have.
        actual: Bytes that it has.
    """

    expected: int
    actual: int

    def __str__(self) -> str:
        return f"{self.file} has {self.actual} bytes, its tensors end after {self.expected}"


@dataclass(frozen=True, slots=True)
class BadHeader(Finding):
    """A file's description of itself cannot be read.

    Args:
        file: See Finding.
        detail: In what way.
    """

    detail: str

    def __str__(self) -> str:
        return f"the header of {self.file} cannot be read: {self.detail}"


@dataclass(frozen=True, slots=True)
class BadOffsets(Finding):
    """A tensor does not begin where the one before it ends.

    Args:
        file: See Finding.
        tensor: Its name.
        expected: Where the one before it ends.
        begin: Where it begins.
        end: Where it ends.
    """

    tensor: str
    expected: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"in {self.file} {self.tensor[:80]!a} lies at {self.begin}-{self.end} instead of from {self.expected}"


@dataclass(frozen=True, slots=True)
class UnknownDtype(Finding):
    """A tensor is made of something that the format does not know.

    Args:
        file: See Finding.
        tensor: Its name.
        dtype: What it claims.
    """

    tensor: str
    dtype: str

    def __str__(self) -> str:
        return f"in {self.file} {self.tensor[:80]!a} is of the unknown type {self.dtype[:20]!a}"


@dataclass(frozen=True, slots=True)
class ShapeMismatch(Finding):
    """A tensor's shape and type do not come to its length.

    Args:
        file: See Finding.
        tensor: Its name.
        dtype: Its type.
        shape: Its shape.
        size: Its length in bytes.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...]
    size: int

    def __str__(self) -> str:
        return (
            f"in {self.file} {self.tensor[:80]!a} has {self.size} bytes, not those of {self.dtype}{[*self.shape[:8]]}"
        )


@dataclass(frozen=True, slots=True)
class RankMismatch(Finding):
    """A factor, or the configuration, is of another LoRA rank than it must be.

    Args:
        file: See Finding.
        tensor: Its name; None when it is the configuration that differs.
        expected: The rank that it must have.
        actual: What it has; None when it has none.
    """

    tensor: str | None
    expected: int
    actual: int | None

    def __str__(self) -> str:
        where = "the configuration" if self.tensor is None else f"{self.tensor[:80]!a}"
        return f"in {self.file} {where} is of rank {self.actual} instead of {self.expected}"


@dataclass(frozen=True, slots=True)
class BaseModelMismatch(Finding):
    """The adapter is for another base model.

    Args:
        file: See Finding.
        expected: The base model that it must be for.
        actual: The one it is for; None when it does not say.
    """

    expected: str
    actual: str | None

    def __str__(self) -> str:
        return f"{self.file} is for the base model {self.actual!a} instead of {self.expected!a}"


@dataclass(frozen=True, slots=True)
class NoTensors(Finding):
    """A file of tensors has none."""

    def __str__(self) -> str:
        return f"{self.file} holds no tensor"


@dataclass(frozen=True, slots=True)
class NotFinite(Finding):
    """A tensor holds NaN or infinite values.

    Args:
        file: See Finding.
        tensor: Its name.
        count: How many.
    """

    tensor: str
    count: int

    def __str__(self) -> str:
        return f"in {self.file} {self.tensor[:80]!a} holds {self.count} values that are not finite"
