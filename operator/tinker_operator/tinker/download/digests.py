"""The digests that a store promises with a file, and those that are made of what was written.

Of the many headers in use these are read: `x-amz-checksum-sha256` (S3 and what speaks like it), `Repr-Digest` and its
predecessor `Digest`, which speak of the whole file whatever range is sent; `Content-Digest` and `Content-MD5`, which
speak of the bytes in this very answer and so count only when these are the whole file. An ETag that looks like a digest
is none: stores put other things there for files that came in pieces.
"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tinker_operator.tinker.download.disk import disk_faults

_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256=:?([A-Za-z0-9+/=]+?):?\s*(?:,|;|$)", re.IGNORECASE)
_LENGTHS: Final = {"sha256": 32, "md5": 16}


@dataclass(frozen=True, slots=True)
class Promise:
    """A digest that a file must have.

    Args:
        algorithm: `sha256` or `md5`.
        digest: In lower-case hexadecimal.
    """

    algorithm: str
    digest: str


def promise_of(headers: httpx.Headers, *, whole: bool) -> Promise | None:
    """Read the best promise that an answer makes about the whole file; one that cannot be read is none.

    Args:
        headers: The answer's.
        whole: Whether the answer's body is the whole file.
    """
    texts = [headers.get("x-amz-checksum-sha256", "")]
    for name in ("repr-digest", "digest", *(("content-digest",) if whole else ())):
        texts += _SHA256.findall(headers.get(name, ""))
    for text in texts:
        if promise := _read("sha256", text):
            return promise
    return _read("md5", headers.get("content-md5", "")) if whole else None


def digest_of(file: Path, algorithm: str = "sha256") -> str:
    """Read a file back and give its digest in lower-case hexadecimal.

    Raises:
        DiskFault: It cannot be read.
    """
    with disk_faults(file), file.open("rb") as content:
        # MD5 finds accidents, as the store means it; it protects from nobody.
        return hashlib.file_digest(content, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _read(algorithm: str, text: str) -> Promise | None:
    try:
        digest = b64decode(text.strip(), validate=True)
    except (NoBase64, ValueError):
        return None
    return Promise(algorithm, digest.hex()) if len(digest) == _LENGTHS[algorithm] else None
