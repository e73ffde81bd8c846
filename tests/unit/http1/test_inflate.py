import gzip
import random
import zlib

import pytest

from tierwise.errors import UpstreamBroke
from tierwise.http1.inflate import Inflate


def drain(inflate: Inflate) -> bytes:
    pieces = []
    while piece := inflate.take():
        assert len(piece) <= 131072
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_bytes_come_back(compress):
    plain = random.Random(7).randbytes(300_000)
    inflate = Inflate()
    out = b""
    wire = compress(plain)
    for at in range(0, len(wire), 1000):
        inflate.feed(wire[at : at + 1000])
        out += drain(inflate)
    inflate.finish()
    assert out == plain


def test_several_members_follow_each_other():
    inflate = Inflate()
    inflate.feed(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
    assert drain(inflate) == b"one two"
    inflate.finish()


def test_a_bomb_is_refused_after_little_output():
    inflate = Inflate()
    inflate.feed(gzip.compress(bytes(10_000_000)))
    sizes = []
    with pytest.raises(UpstreamBroke):
        sizes.extend(map(len, iter(inflate.take, b"")))
    assert sum(sizes) < 1_200_000


def test_a_cut_stream_is_noticed():
    inflate = Inflate()
    inflate.feed(gzip.compress(b"hello" * 100)[:-6])
    drain(inflate)
    with pytest.raises(UpstreamBroke):
        inflate.finish()


@pytest.mark.parametrize(
    "wire",
    [b"not gzip", gzip.compress(b"x") + b"garbage"],
    ids=["no gzip", "rubbish after the end"],  # compressed bytes hold the time, which no id may
)
def test_bad_bytes_are_refused(wire: bytes):
    inflate = Inflate()
    inflate.feed(wire)
    with pytest.raises(UpstreamBroke):
        drain(inflate)


def test_an_empty_body_is_not_a_cut_one():
    Inflate().finish()
