"""ECDSA over P-256 with SHA-256: checking a signature, which handles nothing secret; never making one.

FIPS 186-5 section 6.4.2; tried against the vectors of RFC 6979.
"""

from __future__ import annotations

import hashlib

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int]
_KEY_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What stands before the point in a SubjectPublicKeyInfo of an uncompressed P-256 key."""


def public_key(der: bytes) -> Point:
    """The point of a public key in DER. Raises `ValueError` for anything but a P-256 key on the curve."""
    if len(der) != len(_KEY_HEAD) + 65 or not der.startswith(_KEY_HEAD) or der[len(_KEY_HEAD)] != 4:
        raise ValueError("not a P-256 public key")
    x, y = int.from_bytes(der[-64:-32]), int.from_bytes(der[-32:])
    if not (x < P and y < P and (y * y - (x * x * x - 3 * x + B)) % P == 0):
        raise ValueError("the point is not on the curve")
    return x, y


def verifies(key: Point, signature: bytes, message: bytes) -> bool:
    """Whether a DER signature over the message holds under the key."""
    pair = _integers(signature)
    if pair is None or not all(0 < one < N for one in pair):
        return False
    r, s = pair
    e = int.from_bytes(hashlib.sha256(message).digest())
    w = pow(s, -1, N)
    point = _add(_times(e * w % N, G), _times(r * w % N, key))
    return point is not None and point[0] % N == r


def _times(k: int, point: Point) -> Point | None:
    result: Point | None = None
    addend: Point | None = point
    while k:
        if k & 1:
            result = _add(result, addend)
        addend = _add(addend, addend)
        k >>= 1
    return result


def _add(one: Point | None, other: Point | None) -> Point | None:
    if one is None or other is None:
        return other if one is None else one
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if one == other else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def _integers(der: bytes) -> tuple[int, int] | None:
    """r and s out of `SEQUENCE { INTEGER r, INTEGER s }`; None for anything else."""
    if len(der) < 8 or len(der) > 72 or der[0] != 0x30 or der[1] != len(der) - 2:
        return None
    found: list[int] = []
    at = 2
    for _ in range(2):
        if at + 2 > len(der) or der[at] != 0x02:
            return None
        length = der[at + 1]
        data = der[at + 2 : at + 2 + length]
        if len(data) != length or not data or data[0] & 0x80:
            return None
        found.append(int.from_bytes(data))
        at += 2 + length
    return (found[0], found[1]) if at == len(der) else None
