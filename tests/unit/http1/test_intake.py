import pytest

from tierwise.errors import BadRequest, TooLarge
from tierwise.http1.intake import Chunked, Fixed


def test_a_fixed_body_ends_at_its_length():
    body = Fixed(5)
    assert body.feed(b"abc") == b""
    assert not body.done
    assert body.feed(b"deGET /") == b"GET /"
    assert body.done
    assert body.body() == b"abcde"
    assert body.body() == b"abcde"


def test_an_empty_fixed_body_is_done():
    assert Fixed(0).done
    assert Fixed.whole(b"abc").body() == b"abc"


def test_chunks_extensions_and_trailers():
    body = Chunked(100)
    rest = body.feed(
        b'3\r\nabc\r\n0002;a=b; c="d;e" ;f\r\nde\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nnext'
    )
    assert (body.done, body.body(), rest) == (True, b"abcde0123456789", b"next")


def test_chunks_one_byte_at_a_time():
    body = Chunked(100)
    for byte in b"3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: v\r\n\r\n":
        assert not body.done
        assert body.feed(bytes([byte])) == b""
    assert body.done
    assert body.body() == b"abcd"


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"3_0\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabc\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabX",
        b"3\r\nabcX",
        b"3\r\nabc\r0",
        b"00000000000000003\r\nabc\r\n",
        b"3;\r\nabc\r\n",
        b"3;a=\0\r\nabc\r\n",
        b"3;a\rb\r\nabc\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: a\r\n b\r\n\r\n",
        b"0\r\nX: a\n\r\n",
        b"3;" + b"a" * 2000,
        b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 300,
    ],
)
def test_bad_chunks(wire: bytes):
    body = Chunked(100)
    if wire == b"3\r\nabX":
        body.feed(wire)
        wire = b"X\r\n"
    with pytest.raises(BadRequest) as caught:
        body.feed(wire)
    assert caught.value.status == 400


def test_the_limit_is_of_the_whole_body():
    body = Chunked(10)
    body.feed(b"6\r\nabcdef\r\n")
    with pytest.raises(TooLarge):
        body.feed(b"5\r\n")


def test_the_limit_holds_before_the_bytes_come():
    with pytest.raises(TooLarge):
        Chunked(10).feed(b"ffffffffffffffff\r\n")


def test_tiny_chunks_are_bounded():
    body = Chunked(2**25)
    with pytest.raises(BadRequest):
        body.feed(b"1\r\nx\r\n" * 200_000)


def test_small_chunks_of_a_usual_size_are_not():
    body = Chunked(2**25)
    for _ in range(20):
        body.feed(b"8\r\nabcdefgh\r\n" * 1000)
    assert body.size == 160_000
