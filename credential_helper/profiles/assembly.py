"""A profile as a whole: every setting parsed, then what they say about each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from credential_helper import providers, urls
from credential_helper.errors import CredentialHelperError
from credential_helper.flows import CLIENT_AUTHENTICATION, FLOWS, PEOPLE
from credential_helper.model import Endpoints, PrivateKey, Profile, Source
from credential_helper.profiles import parse, shared
from credential_helper.profiles.parse import write_instead
from credential_helper.profiles.settings import BY_NAME, KINDS, SECRETS, Setting, by_key
from credential_helper.profiles.written import Written
from credential_helper.tools import LISTED


def assemble(
    name: str,
    values: Mapping[str, Written],
    *,
    absent: Callable[[Setting], CredentialHelperError],
    ad_hoc: bool = False,
) -> tuple[Profile | None, list[CredentialHelperError]]:
    """Judge every setting, then what they say about each other; no profile when anything is wrong.

    ``absent`` makes the error for a setting that has to be there.
    """
    judged: dict[str, Any] = {}
    errors: list[CredentialHelperError] = []
    for key, written in values.items():
        table, _, inner = key.partition(".")
        try:
            if table == "parameters":
                parse.check_parameter_name(written, inner)
            judged[key] = by_key(key).parse(written)
        except CredentialHelperError as error:
            errors.append(error)
    known = providers.PROVIDERS.get(judged.get("provider", ""))
    if known is not None and known.issuer is not None and "issuer" not in values:
        judged["issuer"] = known.issuer
    needed = ("client_id",) if "provider" in values and "provider" not in judged else ("issuer", "client_id")
    errors += [absent(BY_NAME[key]) for key in needed if key not in values and key not in judged]
    errors = errors or list(_contradictions(judged, values))
    if errors:
        return None, errors

    profile = Profile(
        name=name,
        ad_hoc=ad_hoc,
        **{key: value for key, value in judged.items() if "." not in key and key not in LISTED},
        listed=tuple((key, judged[key]) for key in LISTED if key in judged),
        parameters=tuple(_table_of("parameters", judged).items()),
        endpoints=Endpoints(**_table_of("endpoints", judged)),
        client_secret=_client_secret_of(judged),
        private_key=_private_key_of(judged),
        tls=_tls_of(judged),
        redirect_private_key=judged.get("redirect_private_key.file"),
        password=_source_of("password", judged),
        shared_cache_password=_source_of("shared_cache_password", judged),
        cache_key=_source_of("cache_key", judged),
        origins=tuple((key, written.where) for key, written in values.items()),
    )
    errors = list(_lacking(profile, values))
    return (None if errors else profile), errors


def _table_of(table: str, judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's settings by their keys in it."""
    return {key.partition(".")[2]: value for key, value in judged.items() if key.startswith(f"{table}.")}


def _source_of(secret: str, judged: Mapping[str, Any]) -> Source | None:
    return next((judged[key] for kind in KINDS if (key := f"{secret}.{kind}") in judged), None)


def _client_secret_of(judged: Mapping[str, Any]) -> Source | None:
    """Return the client secret's source; where the profile says how it is sent, an empty one is one, too."""
    source = _source_of("client_secret", judged)
    sent = CLIENT_AUTHENTICATION.get(judged.get("client_authentication", "auto"))
    if source is None or sent is None or sent.needs != "client_secret":
        return source
    return msgspec.structs.replace(source, may_be_empty=True)


def _private_key_of(judged: Mapping[str, Any]) -> PrivateKey | None:
    source = _source_of("private_key", judged)
    about = {key: value for key, value in _table_of("private_key", judged).items() if key not in KINDS}
    return None if source is None else PrivateKey(source=source, **about)


def _tls_of(judged: Mapping[str, Any]) -> tuple[Source, Source] | None:
    certificate, key = judged.get("tls.certificate"), _source_of("tls.private_key", judged)
    return None if certificate is None or key is None else (certificate, key)


def _contradictions(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with settings that are fine one by one."""
    sources = {name: [key for kind in KINDS if (key := f"{name}.{kind}") in judged] for name in SECRETS}
    for several in sources.values():
        if len(several) > 1:
            yield values[several[1]].impossible(
                f"{values[several[0]].where} is given, too", hint="give one source of a secret"
            )
    yield from _of_the_client(judged, values, sources["client_secret"], sources["private_key"])
    yield from _of_the_certificate(judged, values)
    yield from _of_the_flow(judged, values, sources["password"])
    yield from _of_tokens(judged, values)
    yield from _of_the_redirect(judged, values)
    yield from shared.contradictions(judged, values)

    # http is for one loopback origin: a second one, or https beside it, would take a secret somewhere else.
    endpoints = [key for key in judged if key.startswith("endpoints.")]
    plain = [key for key in ("issuer", *endpoints) if judged[key].startswith("http:")]
    if plain:
        origin = urls.parse_url(judged[plain[0]]).origin
        for key in endpoints:
            if urls.parse_url(judged[key]).origin != origin:
                yield values[key].impossible(f"expected an address on {origin}, as {values[plain[0]].where} is http")


def _of_the_redirect(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with where a browser comes back to: https needs a certificate, http has none."""
    secure = judged.get("redirect_uri", "").startswith("https:")
    files = [key for key in ("redirect_certificate", "redirect_private_key.file") if key in judged]
    if secure and len(files) < 2:
        yield values["redirect_uri"].impossible(
            "https needs a certificate of yours and its key",
            hint='write redirect_certificate = "PATH" and redirect_private_key = { file = "PATH" }'
            if _of_file(values)
            else "give --redirect-certificate PATH and --redirect-private-key-file PATH",
        )
    elif files and not secure and not _laid_over(values, "redirect_uri", files[0]):
        yield values[files[0]].impossible("it is for a redirect_uri that begins with https://")


def _laid_over(values: Mapping[str, Written], key: str, other: str) -> bool:
    """Say whether a flag stands for one setting and a file for another: for once, that makes the file not wrong."""
    return key in values and values[key].origin.kind != values[other].origin.kind


def _of_the_client(
    judged: Mapping[str, Any], values: Mapping[str, Written], secrets: Sequence[str], keys: Sequence[str]
) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with how the client says who it is: with nothing, with a secret, or with a key."""
    method = judged.get("client_authentication", "auto")
    certificates = [key for key in judged if key.startswith("tls.")]
    given = [*secrets, *keys, *certificates]
    if _proves_by_token(judged.get("workload"), method, judged.get("flow", "auto"), given):
        given = ["workload"]
    needs = CLIENT_AUTHENTICATION[method].needs if method != "auto" else None
    unmet = needs is not None and needs not in (key.partition(".")[0] for key in given)
    if secrets and keys:
        yield values[keys[0]].impossible(
            f"{values[secrets[0]].where} is given, too", hint="give a client secret or a private key"
        )
    elif given and (unmet or (not secrets and method == "none")):
        yield values["client_authentication"].impossible(f"{method} does not go with {values[given[0]].where}")
    elif unmet and needs is not None:
        yield values["client_authentication"].impossible(
            f"{method} needs {_PROOFS[needs]}", hint=_how_to_give(needs, values)
        )
    elif (flow := FLOWS.get(judged.get("flow", "auto"))) and flow.confidential and method != "none" and not given:
        yield values["flow"].impossible(
            f"{flow.name} needs a client secret or a private key",
            hint=_how_to_give("client_secret", values),
        )
    about = next((key for key in judged if key.startswith("private_key.")), None)
    if about is not None and not keys:
        yield values[about].impossible("there is no key", hint=_how_to_give("private_key", values))


_PROOFS = {
    "client_secret": "a client secret",
    "private_key": "a private key",
    "tls": "a certificate and its key",
    "workload": "a workload",
}


def _of_the_certificate(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with a client certificate: a half of it, another proof beside it, or no TLS to show it in."""
    certificate = next((key for key in judged if key == "tls.certificate"), None)
    key = next((key for key in judged if key.startswith("tls.private_key.")), None)
    first = certificate or key
    if first is None:
        return
    other = next((key for key in judged if key.startswith(("client_secret.", "private_key."))), None)
    if certificate is None or key is None:
        lacking = "private_key" if key is None else "certificate"
        yield values[first].impossible(f"there is no {lacking} beside it", hint=_how_to_give("tls", values))
    elif other is not None:
        yield values[first].impossible(
            f"{values[other].where} is given, too", hint="give a client secret, a private key or a certificate"
        )
    elif judged.get("endpoints.token", judged["issuer"]).startswith("http:"):
        where = values["endpoints.token" if "endpoints.token" in judged else "issuer"].where
        yield values[first].impossible(f"a certificate is shown in TLS only, and {where} is http")


def _proves_by_token(workload: object, method: str, flow: str, others: Sequence[object]) -> bool:
    """Say whether it is a platform's token that says who the client is; ``others`` are its secrets and keys."""
    row = FLOWS.get(flow)
    exchanged = row is not None and "workload" in row.subjects
    return workload is not None and not others and (method == "workload" or (method == "auto" and not exchanged))


def _of_tokens(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with tokens that others give: one is sent in exchange, and none is there for nothing."""
    flow = FLOWS.get(judged.get("flow", "auto"))
    subjects = [] if flow is None else [key for key in flow.subjects if key in judged]
    method = judged.get("client_authentication", "auto")
    if flow is not None and flow.subjects and not subjects:
        yield values["flow"].impossible(
            f"{flow.name} needs {' or '.join(flow.subjects)}: the token that is sent",
            hint=_how_to_give("workload", values),
        )
    if len(subjects) > 1 and method != "workload":
        yield values[subjects[1]].impossible(
            f"{values[subjects[0]].where} is given, too, and one token is exchanged",
            hint='client_authentication = "workload" makes the platform\'s the proof of the client',
        )
    secrets = [key for key in values if key.partition(".")[0] in ("client_secret", "private_key", "tls")]
    proof = method == "workload" or _proves_by_token(
        judged.get("workload"), method, judged.get("flow", "auto"), secrets
    )
    if "workload" in judged and "workload" not in subjects and not proof and not _laid_over(values, "flow", "workload"):
        yield values["workload"].impossible(
            "nothing uses it",
            hint='it is for flow = "token-exchange" or "jwt-bearer", or for client_authentication = "workload"',
        )
    elsewhere = [key for key in judged if key == "ca_file" or key.startswith("endpoints.")]
    if "workload" in judged and judged["workload"].for_issuer_only and elsewhere:
        yield values["workload"].impossible(
            f"the job's token goes to the issuer alone, and {values[elsewhere[0]].where} is given, too",
            hint="write workload into a profile of the config file",
        )


def _how_to_give(name: str, values: Mapping[str, Written]) -> str:
    """Say where a secret's source is written; a flag cannot give one to a profile of the file."""
    if name == "tls" and _of_file(values):
        return 'write tls = { certificate = "PATH", private_key = { file = "PATH" } }'
    if name == "tls":
        return "give --tls-certificate PATH, and --tls-private-key-file PATH or --tls-private-key-env NAME"
    if name not in SECRETS:
        how = 'write workload = "auto"' if _of_file(values) else "give --workload auto"
        return f"{how} (a platform gives the job its token)"
    if _of_file(values):
        return write_instead(name)
    flag = "--" + name.replace("_", "-")
    return f"give {flag}-env NAME or {flag}-file PATH, or set {SECRETS[name]}"


def _of_file(values: Mapping[str, Written]) -> bool:
    """Say whether this is a profile of the file, whatever is laid over it."""
    return values["client_id"].origin.is_file


def _of_the_flow(
    judged: Mapping[str, Any], values: Mapping[str, Written], passwords: Sequence[str]
) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with settings that are for one way to sign in."""
    name = judged.get("flow", "auto")
    flow = FLOWS.get(name)
    if flow is not None and flow.legacy and not judged.get("legacy"):
        yield values["flow"].impossible(
            f"{name} shows this program the password, which RFC 9700 §2.4 forbids, and needs legacy = true",
            hint=f"if no other flow can be used, {'write legacy = true' if _of_file(values) else 'give --legacy'}",
        )
    for key in judged:
        owner = next((row for row in FLOWS.values() if key.partition(".")[0] in row.own), None)
        if owner is None or key not in values or name == owner.name or (name == "auto" and owner.name in PEOPLE):
            continue
        # A flow that a flag chooses for once does not make the rest of the profile wrong.
        if "flow" not in values or values["flow"].origin.kind == values[key].origin.kind:
            yield values[key].impossible(f'does not go with flow = "{name}"', hint=f'it is for flow = "{owner.name}"')
    if flow is not None and flow.sends_account and passwords and "account" not in judged:
        yield values[passwords[0]].impossible(
            "there is no account, whose password it is",
            hint='write account = "NAME"' if _of_file(values) else "give --account NAME",
        )


def _lacking(profile: Profile, values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what the provider cannot do."""
    known = providers.of(profile)
    own = profile.flow == "token-exchange" and profile.flow in known.flows and known.subject_token_type is None
    if own and profile.subject is None and profile.subject_token_type is None:
        yield values["flow"].impossible(
            f"{known.title} takes a subject_token_type of its own only",
            hint="write subject_token_type, the URI that is registered there",
        )
    others = [proof for proof in (profile.client_secret, profile.private_key) if proof is not None]
    proves = _proves_by_token(profile.workload, profile.client_authentication, profile.flow, others)
    if proves and not known.federated:
        key = "client_authentication" if "client_authentication" in values else "workload"
        yield values[key].impossible(
            f"{known.title} takes no platform's token for the proof of a client",
            hint=f"{_uses(known)}; {_generic(values)} tries it all the same",
        )
    if profile.flow != "auto" and profile.flow not in known.flows:
        yield values["flow"].impossible(
            f'{known.title} has no flow "{profile.flow}"',
            hint=f"it has {', '.join(sorted(known.flows))}; {_generic(values)} tries it all the same",
        )


def _generic(values: Mapping[str, Written]) -> str:
    return 'provider = "generic"' if _of_file(values) else "--provider generic"


def _uses(known: providers.KnownProvider) -> str:
    """Say what a provider takes a platform's token for."""
    flows = [name for name, row in FLOWS.items() if "workload" in row.subjects and name in known.flows]
    return f"it takes one with flow = {' or '.join(flows)}" if flows else "it takes none at all"
