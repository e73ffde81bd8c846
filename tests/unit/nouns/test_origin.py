import pytest

from tierwise.errors import ConfigError
from tierwise.nouns.origin import Origin


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "authority"),
    [
        ("https://api.openai.com/v1", ("https", "api.openai.com", 443), "/v1", b"api.openai.com"),
        ("https://api.openai.com/v1/", ("https", "api.openai.com", 443), "/v1", b"api.openai.com"),
        ("http://localhost:8000", ("http", "localhost", 8000), "", b"localhost:8000"),
        ("http://localhost/", ("http", "localhost", 80), "", b"localhost"),
        ("HTTPS://API.Example.COM:443/a/b", ("https", "api.example.com", 443), "/a/b", b"api.example.com"),
        ("http://[::1]:9000/v1", ("http", "::1", 9000), "/v1", b"[::1]:9000"),
        ("http://[0:0::1]", ("http", "::1", 80), "", b"[::1]"),
        ("http://10.0.0.1:80/x", ("http", "10.0.0.1", 80), "/x", b"10.0.0.1"),
        ("http://my_host:81", ("http", "my_host", 81), "", b"my_host:81"),
        ("https://bücher.example", ("https", "xn--bcher-kva.example", 443), "", b"xn--bcher-kva.example"),
        ("https://h/projects/p@1/x", ("https", "h", 443), "/projects/p@1/x", b"h"),
    ],
)
def test_parsed(url: str, origin: tuple[str, str, int], prefix: str, authority: bytes):
    parsed, path = Origin.parse(url)
    assert (parsed.scheme, parsed.host, parsed.port) == origin
    assert path == prefix
    assert parsed.authority() == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://h",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://h:0",
        "https://h:",
        "https://h:99999",
        "https://h:x",
        "https://h/v1?key=1",
        "https://h/v1#x",
        "https://h/v1?",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://[v1.x]",
        "https://h h/",
        "https://h/a b",
        "https://h\r\nx: y/",
        " https://h",
        "https://h\n/v1",
        "https://h/v1\t",
        "https://-h",
        "https://h..",
        "https://" + "a" * 300,
    ],
)
def test_refused(url: str):
    with pytest.raises(ConfigError):
        Origin.parse(url)


@pytest.mark.parametrize(
    "url", ["https://user:secret@h/v1", "https://secret@h", "ftp://u:secret@h", "u:secret@h"]
)
def test_a_user_name_is_refused_and_not_repeated(url: str):
    with pytest.raises(ConfigError) as caught:
        Origin.parse(url)
    assert "secret" not in caught.value.sentence()
