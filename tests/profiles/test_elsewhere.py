from __future__ import annotations

from pathlib import Path

import pytest

from credential_helper.profiles.configuration import read
from credential_helper.profiles.settings import PROFILE_KEYS

PROFILE = '[profiles.prod]\nissuer = "https://idp.example.com"\nclient_id = "x"\n'


def problems(environ: dict[str, str], text: str) -> list[tuple[str, str | None]]:
    """Return what is wrong with a file: each sentence from its line on, and its hint."""
    path = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    return [(error.sentence.removeprefix(f"{path}: "), error.hint) for error in read(environ).problems()]


@pytest.mark.parametrize("key", ["default_profile", "password_storage", "secret_files"])
def test_a_key_of_the_file_that_stands_below_a_table_is_told_where_to(environ: dict[str, str], key: str) -> None:
    assert problems(environ, f'{PROFILE}{key} = "x"\n') == [
        (
            f"line 4: profiles.prod.{key}: stands below [profiles.prod], and is no key of a profile",
            f"write {key} above the first line that begins with [",
        )
    ]


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("oidc-issuer-url", "issuer"),
        ("oidc_issuer_url", "issuer"),
        ("oidc-client-id", "client_id"),
        ("oidc-extra-scope", "scope"),
        ("oidc-redirect-url", "redirect_uri"),
        ("grant-type", "flow"),
        ("certificate-authority", "ca_file"),
        ("listen-address", "redirect_uri"),
        ("oidc-auth-request-extra-params", "parameters"),
        ("token-cache-storage", "store"),
    ],
)
def test_kubelogin_s_words_are_translated(environ: dict[str, str], key: str, ours: str) -> None:
    assert problems(environ, f'{PROFILE}{key} = "x"\n') == [
        (
            f"line 4: profiles.prod.{key}: is kubelogin's word; here it is {ours}",
            f"write {ours} = …, as docs/from-kubelogin.md has it",
        )
    ]
    assert ours in PROFILE_KEYS


def test_kubelogin_s_secret_is_told_how_to_be_read(environ: dict[str, str]) -> None:
    [(_, hint)] = problems(environ, f'{PROFILE}oidc-client-secret = "hunter2"\n')
    assert hint is not None
    assert hint.startswith('write client_secret = { env = "NAME" }')


def test_what_kubelogin_needs_and_we_do_not(environ: dict[str, str]) -> None:
    [(sentence, hint)] = problems(environ, f'{PROFILE}oidc-pkce-method = "S256"\n')
    assert sentence.endswith("is kubelogin's word, and is not needed: PKCE is always used")
    assert hint == "take the line out"


def test_what_is_there_under_another_name_is_not_missing(environ: dict[str, str]) -> None:
    text = '[profiles.prod]\noidc-issuer-url = "https://idp.example.com"\nclient-id = "x"\n'
    assert [sentence for sentence, _ in problems(environ, text)] == [
        "line 2: profiles.prod.oidc-issuer-url: is kubelogin's word; here it is issuer",
        "line 3: profiles.prod.client-id: unknown key; did you mean client_id?",
    ]


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("oauthClientId", "client_id"),
        ("oauthAuthURL", "endpoints.authorization"),
        ("oauthDeviceAuthURL", "endpoints.device_authorization"),
        ("token_endpoint", "endpoints.token"),
        ("device_authorization_endpoint", "endpoints.device_authorization"),
        ("jwks_uri", "endpoints.jwks"),
        ("auth_uri", "endpoints.authorization"),
        ("domain", "issuer"),
        ("tenant_id", "issuer"),
    ],
)
def test_the_words_of_others_are_translated_and_never_guessed(environ: dict[str, str], key: str, ours: str) -> None:
    [(sentence, hint)] = problems(environ, f'{PROFILE}{key} = "x"\n')
    assert sentence == f"line 4: profiles.prod.{key}: unknown key; here it is {ours}"
    assert hint is not None
    assert hint.startswith(f"write {ours} = ")


@pytest.mark.parametrize("key", ["auths", "credsStore", "credHelpers"])
def test_what_is_docker_s_is_told_where_to(environ: dict[str, str], key: str) -> None:
    [(sentence, hint)] = problems(environ, f'{PROFILE}{key} = "x"\n')
    assert sentence == f"line 4: profiles.prod.{key}: is docker's word"
    assert hint is not None
    assert "~/.docker/config.json" in hint


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("[default]\nissuer = 'x'\n", "default: unknown key, expected one of ", "write [profiles.default]"),
        ("[profile.prod]\nissuer = 'x'\n", "profile: unknown key; did you mean profiles?", None),
        ("profile = 'prod'\n", "profile: unknown key; did you mean default_profile?", None),
    ],
)
def test_a_table_is_no_near_miss_of_a_key_that_has_a_word(
    environ: dict[str, str], text: str, sentence: str, hint: str | None
) -> None:
    [(found, advice)] = problems(environ, text)
    assert found.startswith(f"line 1: {sentence}")
    assert advice == hint


def test_a_profile_s_mistakes_are_told_from_top_to_bottom(environ: dict[str, str]) -> None:
    text = "[profiles.prod]\nissuer = 'http://a.example'\nclientid = 'x'\nflow = 'devise'\nendpoints = 1\nfoo = 1\n"
    assert [sentence[:7] for sentence, _ in problems(environ, text)] == [f"line {n}:" for n in (2, 3, 4, 5, 6)]
