"""requests, without what it loads for what is never used here: 30 ms where it takes 60, so at no file's head."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping

from credential_helper import lean

# What requests and urllib3 take if it is there, and do without: what guesses in what text is written, what unpacks
# compressed answers, another JSON, another SOCKS. None is asked for here.
_ABSENT = ("charset_normalizer", "chardet", "brotli", "brotlicffi", "backports", "zstandard", "simplejson", "socks")

# What they import and do not come to use here: HTTP/2, .netrc and proxies of the system, archives, forms with files,
# names that are not ASCII, letters, dates of cookies, what tells where an exception came from.
_LATER = {
    "calendar": ("timegm",),
    "copy": (),
    "email._parseaddr": ("mktime_tz", "parsedate", "parsedate_tz", "quote", "_parsedate_tz", "AddressList"),
    "email.base64mime": (),
    "email.encoders": ("encode_7or8bit",),
    "email.header": (),
    "email.quoprimime": (),
    "encodings.idna": (),
    "idna": (),
    "importlib.metadata": ("version",),
    "ipaddress": (),
    "mimetypes": (),
    "random": (),
    "tempfile": (),
    "traceback": (),
    "urllib.request": (
        *("getproxies", "getproxies_environment", "parse_http_list", "proxy_bypass", "proxy_bypass_environment"),
    ),
    "zipfile": (),
}
_INSTEAD: Mapping[str, Mapping[str, object]] = {
    "certifi": {"where": lambda: os.devnull},  # its roots are in no way ours
    "http.cookies": {"Morsel": type("Morsel", (), {})},  # nobody makes cookies here
}


def load_requests() -> None:
    """Import it without a word on stderr: it warns there about the versions of what it depends on."""
    if "requests" in sys.modules:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lean.load("requests", later=_LATER, instead=_INSTEAD, absent=_ABSENT)
