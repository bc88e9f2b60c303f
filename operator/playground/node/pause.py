"""The program that holds the namespaces of a Pod, as an executable of some hundred bytes.

containerd runs one in every Pod, and it may not come from a registry. It sleeps until it is killed; it has no libraries
and needs nothing of its file system. `playground.node.images` packs it.
"""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS = 64 + 56
# pause() again and again; 64-bit ARM has only ppoll(NULL, 0, NULL, NULL), which waits as long.
_CODE = {
    "amd64": (62, bytes.fromhex("b822000000 0f05 ebf7".replace(" ", ""))),  # mov eax,34; syscall; jmp back
    "arm64": (
        183,
        struct.pack(
            "<8I",
            0xD2800000,  # mov x0, 0
            0xD2800001,  # mov x1, 0
            0xD2800002,  # mov x2, 0
            0xD2800003,  # mov x3, 0
            0xD2800004,  # mov x4, 0
            0xD2800928,  # mov x8, 73
            0xD4000001,  # svc 0
            0x17FFFFF9,  # b back
        ),
    ),
}


def pause_program(architecture: str) -> bytes:
    """The executable: an ELF header, one loaded segment, the code.

    Args:
        architecture: Go's name of it, `amd64` or `arm64`.
    """
    machine, code = _CODE[architecture]
    size = _HEADERS + len(code)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bit, little endian, version 1
    entry = _BASE + _HEADERS
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)  # to be loaded, read, executed
    return identification + header + segment + code
