// A real, OpenID-certified provider (npm oidc-provider) for the integration tests; integration/servers/oidc.py drives it.
//
// Rules of this file:
//   1. What a client sees is the provider's own answer, except where a comment cites why not: `interval`, slow_down and
//      exact client authentication (oidc-provider has none of them), and the dialect of Auth0, its password grants too.
//      So have the grants of a platform's token (RFC 7523 §2.1, RFC 8693): what they bring is the provider's own again.
//   2. One process, four faces: plain and auth0 over http, tls and auth0_tls over https. Each has a port, a store,
//      clients, counts and faults of its own; they share nothing but the first signing keys.
//   3. stdout carries one line of JSON, when every port listens. Everything else goes to stderr.
//   4. An https face has a second port, which asks for client certificates and takes any: the addresses of it are the
//      mtls_endpoint_aliases (RFC 8705 §5), and the provider itself judges what was shown.
//   5. The process ends when stdin does, so that a killed test run leaves nothing behind.
//
// Environment: OIDC_TLS_CERT, OIDC_TLS_KEY (PEM files; without them there are no https faces), OIDC_TLS_CA (PEM file),
// OIDC_SHORT_TTL (seconds that tokens of the "-short" clients live, 4).
// Control: POST http://ADMIN/FACE/OPERATION with a JSON object of arguments; see `operations` below.

console.info = console.error; // oidc-provider writes its notices there, and stdout is ours

import { createPrivateKey, createPublicKey, generateKeyPairSync, verify, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { Provider, errors } from 'oidc-provider';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const PASSWORD_REALM = 'http://auth0.com/oauth/grant-type/password-realm';
const PASSWORD_GRANTS = ['password', PASSWORD_REALM];
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const OIDC_SCOPES = ['openid', 'offline_access', 'profile', 'email'];
const SHORT_TTL = Number(process.env.OIDC_SHORT_TTL || 4);
const POLL_TOLERANCE = 20; // ms; a timer of the client's may fire a little early
const API_SCOPES = 'read:pods write:pods';

const ROUTES = {
  rfc: {
    authorization: '/auth', token: '/token', device_authorization: '/device/auth', revocation: '/token/revocation',
    introspection: '/token/introspection', jwks: '/jwks', userinfo: '/me', code_verification: '/device',
    end_session: '/session/end', pushed_authorization_request: '/par',
  },
  auth0: {
    authorization: '/authorize', token: '/oauth/token', device_authorization: '/oauth/device/code',
    revocation: '/oauth/revoke', introspection: '/oauth/introspect', jwks: '/.well-known/jwks.json',
    userinfo: '/userinfo', code_verification: '/activate', end_session: '/oidc/logout',
    pushed_authorization_request: '/oauth/par',
  },
};

const DEFAULTS = {
  interval: 1, // seconds, sent with every user code; null: not sent, so RFC 8628 §3.2's 5 are meant
  enforce_interval: true, // an early poll is answered slow_down, and every later one has to wait 5 s more
  access_token_ttl: 3600,
  id_token_ttl: 3600,
  refresh_token_ttl: 14 * 24 * 3600,
  device_code_ttl: 900,
  date_offset: 0, // seconds added to the Date header of every answer
  id_token_algorithms: null, // what ID tokens may be signed with; null: the one of the keys' rotation
  require_par: false, // require_pushed_authorization_requests, in the metadata too (RFC 9126 §5)
  require_jar: false, // require_signed_request_object (RFC 9101 §10.5)
  pages: false, // a real browser gets pages with forms; otherwise whoever comes is ada and agrees
  multi_resource: null, // audiences that any refresh may be for; null: Auth0's faces have none, the others are asked
  platform: null, // { issuer, keys } whose tokens are taken for the grants JWT_BEARER and TOKEN_EXCHANGE
  default_connection: 'Username-Password-Authentication', // where Auth0's `password` looks people up; null: nowhere
  clients: {}, // the four *_ttl, `pages` and `multi_resource` of a client, by client_id
};

const BUILT_IN = ['id_token_algorithms', 'require_par', 'require_jar']; // a provider is made with these

// --- who may ask -----------------------------------------------------------------------------------------------------

const person = (client_id, more = {}) => ({
  client_id,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: [DEVICE_CODE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  ...more,
});

const machine = (client_id, client_secret, token_endpoint_auth_method, more = {}) => ({
  client_id,
  client_secret,
  token_endpoint_auth_method,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  ...more,
});

// RFC 6749 §2.3.1 wants both halves of Basic form-encoded first: these break whoever forgets.
const ODD_SECRET = 'p%c+r t&=/e';

// RFC 8252 §7.3: any port will do on loopback. Public clients need PKCE (the provider's own default, RFC 9700 §2.1.1).
const browser = (client_id, more = {}) => person(client_id, {
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback', 'http://localhost/callback'],
  ...more,
});

const CLIENTS = [
  person('cli'),
  browser('cli-browser'),
  browser('cli-browser-confidential', {
    token_endpoint_auth_method: 'client_secret_basic', client_secret: ODD_SECRET,
  }),
  person('cli-password', { grant_types: [...PASSWORD_GRANTS, 'refresh_token', DEVICE_CODE] }),
  person('cli-password-confidential', {
    grant_types: [...PASSWORD_GRANTS, 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
    client_secret: ODD_SECRET,
  }),
  person('cli-short'),
  person('cli-no-refresh', { grant_types: [DEVICE_CODE] }),
  person('cli-confidential', { token_endpoint_auth_method: 'client_secret_basic', client_secret: ODD_SECRET }),
  machine('m2m-basic:odd/id', ODD_SECRET, 'client_secret_basic'),
  machine('m2m-post:odd/id', ODD_SECRET, 'client_secret_post'),
  machine('m2m-short', 'short-secret', 'client_secret_basic'),
];

// Whom the pages and Auth0's password grants know, by the name before the @ of their e-mail address.
const PASSWORD = 'correct horse battery staple';
const CONNECTION = 'Username-Password-Authentication';
const PEOPLE = {
  ada: { password: PASSWORD, connection: CONNECTION },
  bob: { password: PASSWORD, connection: 'employees' },
  mfa: { password: PASSWORD, connection: CONNECTION, refusal: 'mfa_required' },
  blocked: { password: PASSWORD, connection: CONNECTION, refusal: 'blocked' },
  locked: { password: PASSWORD, connection: CONNECTION, refusal: 'too_many_attempts' },
};

const accountOf = (name = '') => name.replace(/@example\.com$/, '');

// --- what is remembered ----------------------------------------------------------------------------------------------

// Artifacts are kept past their time: the provider says expired_token of those, and "not found" of others.
class Store {
  constructor() { this.models = new Map(); }

  model(name) {
    if (!this.models.has(name)) this.models.set(name, new Map());
    return this.models.get(name);
  }

  adapter(name) {
    const items = this.model(name);
    const by = (key, value) => [...items.values()].find((payload) => payload[key] === value);
    return {
      upsert: async (id, payload) => { items.set(id, payload); },
      find: async (id) => items.get(id),
      findByUid: async (uid) => by('uid', uid),
      findByUserCode: async (userCode) => by('userCode', userCode),
      consume: async (id) => { items.get(id).consumed = now(); },
      destroy: async (id) => { items.delete(id); },
      revokeByGrantId: async (grantId) => this.revoke(grantId, name),
    };
  }

  clear() {
    for (const items of this.models.values()) items.clear(); // in place: the provider holds on to its adapters
  }

  revoke(grantId, ...names) {
    for (const name of names.length ? names : this.models.keys()) {
      for (const [id, payload] of this.model(name)) if (payload.grantId === grantId) this.model(name).delete(id);
    }
  }
}

const now = () => Math.floor(Date.now() / 1000);

// By way of PEM: while a generated key object is exported as JWK, a garbage collection may destroy the job that made it,
// and node 20 waits for ever for a lock that it holds itself (ExportJWKRsaKey, ~KeyGenJob).
function newKey(type, options) {
  const publicKeyEncoding = { type: 'spki', format: 'pem' };
  const privateKeyEncoding = { type: 'pkcs8', format: 'pem' };
  const { privateKey } = generateKeyPairSync(type, { ...options, publicKeyEncoding, privateKeyEncoding });
  return createPrivateKey(privateKey).export({ format: 'jwk' });
}

function newKeys() {
  const rsa = newKey('rsa', { modulusLength: 2048 });
  const ec = newKey('ec', { namedCurve: 'P-256' });
  const ed = newKey('ed25519', {});
  const stamp = randomUUID().slice(0, 8);
  return [
    { ...rsa, kid: `rsa-${stamp}`, use: 'sig', alg: 'RS256' },
    { ...ec, kid: `ec-${stamp}`, use: 'sig', alg: 'ES256' },
    { ...ed, kid: `ed-${stamp}`, use: 'sig' }, // EdDSA or Ed25519 (RFC 9864), as the client is registered
  ];
}

class Face {
  constructor(name, { auth0, tls }) {
    Object.assign(this, { name, auth0, tls, store: new Store(), keys: FIRST_KEYS, cookieKey: randomUUID() });
    this.algorithm = 'RS256'; // of ID tokens
    this.route();
    this.pace = new Map(); // device_code → { interval, notBefore } in ms
    this.reset();
  }

  async listen() {
    const handler = (req, res) => this.handle(req, res);
    this.server = this.tls ? https.createServer(this.tls, handler) : http.createServer(handler);
    await new Promise((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    const origin = `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.server.address().port}`;
    if (this.tls) {
      const asking = { ...this.tls, ca: CA, requestCert: true, rejectUnauthorized: false };
      this.asking = https.createServer(asking, handler);
      await new Promise((resolve) => { this.asking.listen(0, '127.0.0.1', resolve); });
      this.mtls = `https://127.0.0.1:${this.asking.address().port}`;
    }
    this.issuer = this.auth0 ? `${origin}/` : origin; // Auth0's issuers end in a slash
    this.build();
  }

  route(changes = {}) {
    this.routes = { ...(this.auth0 ? ROUTES.auth0 : ROUTES.rfc), ...changes };
    this.names = new Map(Object.entries(this.routes).map(([endpoint, path]) => [path, endpoint]));
  }

  // A provider's keys are fixed when it is made, so a rotation is a new provider over the same store.
  build() {
    this.provider = new Provider(this.issuer, configuration(this));
    if (this.auth0) {
      const parameters = ['username', 'password', 'realm', 'scope', 'audience'];
      for (const grant of PASSWORD_GRANTS) {
        this.provider.registerGrantType(grant, (ctx) => passwordGrant(this, ctx), parameters);
      }
    }
    const taken = ['assertion', 'subject_token', 'subject_token_type', 'requested_token_type', 'scope', 'audience'];
    for (const grant of [JWT_BEARER, TOKEN_EXCHANGE]) {
      this.provider.registerGrantType(grant, (ctx) => platformGrant(this, ctx), [...taken, 'resource'], ['resource']);
    }
    this.provider.on('server_error', (ctx, error) => { console.error(ctx.path, error); });
    this.provider.use((ctx, next) => answer(this, ctx, next));
    this.handle = this.provider.callback();
  }

  reset() {
    this.settings = structuredClone(DEFAULTS);
    if (this.rebuilt) {
      Object.assign(this, { algorithm: 'RS256', rebuilt: false });
      this.route();
      this.build();
    }
    for (const id of ['cli-short', 'm2m-short']) {
      this.settings.clients[id] = { access_token_ttl: SHORT_TTL, id_token_ttl: SHORT_TTL };
    }
    this.store.clear();
    this.pace.clear();
    const clients = this.store.model('Client');
    for (const client of CLIENTS) clients.set(client.client_id, client);
    this.faults = [];
    this.resetCounts();
  }

  resetCounts() {
    this.counts = {};
    this.requests = [];
    this.issued = [];
  }

  setting(key, client) {
    return this.settings.clients[client?.clientId]?.[key] ?? this.settings[key];
  }

  endpoint(path) {
    if (path.startsWith('/.well-known/') && !this.names.has(path)) return 'discovery';
    return this.names.get(path) ?? 'page';
  }
}

// --- the provider ----------------------------------------------------------------------------------------------------

function configuration(face) {
  const ttl = (key) => (ctx, token, client) => face.setting(key, client);
  return {
    adapter: (name) => face.store.adapter(name),
    jwks: { keys: structuredClone(face.keys) },
    routes: face.routes,
    scopes: OIDC_SCOPES,
    extraParams: ['audience'], // Auth0's, at the authorization endpoint
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false, // as Auth0 and most others do: e-mail and name are in the ID token
    clientAuthMethods: [
      'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
      ...(face.mtls ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []),
    ],
    discovery: face.mtls ? { mtls_endpoint_aliases: aliases(face) } : {},
    enabledJWA: {
      clientAuthSigningAlgValues: [
        'HS256', 'RS256', 'RS384', 'PS256', 'PS384', 'ES256', 'ES384', 'Ed25519', 'EdDSA',
      ],
      idTokenSigningAlgValues: face.settings.id_token_algorithms ?? [face.algorithm],
    },
    clientDefaults: { id_token_signed_response_alg: face.algorithm },
    cookies: { keys: [face.cookieKey] },
    rotateRefreshToken: true, // a spent one that comes back revokes the whole grant
    expiresWithSession: () => false,
    findAccount: (ctx, sub) => account(sub),
    loadExistingGrant: (ctx) => loadGrant(face, ctx),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => { ctx.body = out; },
    formats: { customizers: { jwt: (ctx, token, parts) => face.auth0 && auth0Audience(face, token, parts) } },
    ttl: {
      AccessToken: ttl('access_token_ttl'),
      ClientCredentials: ttl('access_token_ttl'),
      IdToken: ttl('id_token_ttl'),
      RefreshToken: ttl('refresh_token_ttl'),
      DeviceCode: ttl('device_code_ttl'),
      Grant: 30 * 24 * 3600,
      Interaction: 3600,
      Session: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: face.settings.require_par },
      requestObjects: { enabled: true, requireSignedRequestObject: face.settings.require_jar },
      dPoP: { enabled: true }, // of clients with dpop_bound_access_tokens
      mTLS: !face.mtls ? { enabled: false } : {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateBoundAccessTokens: true, // of clients with tls_client_certificate_bound_access_tokens
        getCertificate: certificateOf,
        certificateAuthorized: (ctx) => ctx.req.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) => subjectMatches(certificateOf(ctx), property, expected),
      },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (ctx, form, out, error) => {
          ctx.body = page(error ? `refused: ${error.name}` : '', form);
        },
        userCodeConfirmSource: (ctx, form, client, device, code) => { ctx.body = page(`confirm ${code}`, form); },
        successSource: (ctx) => { ctx.body = page('signed in', ''); },
      },
      resourceIndicators: {
        enabled: true,
        // `audience` is Auth0's name for RFC 8707's `resource`; every face takes either.
        defaultResource: (ctx, client, oneOf) => (
          (oneOf && policyOf(face, client) ? oneOf[0] : oneOf)
          ?? (ctx.oidc.body?.audience || ctx.oidc.params?.audience || undefined)
        ),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource),
      },
    },
  };
}

// --- client certificates (RFC 8705) ---

const ALIASED = ['token', 'device_authorization', 'revocation', 'pushed_authorization_request'];

const aliases = (face) => Object.fromEntries(ALIASED.map((name) => [`${name}_endpoint`, face.mtls + face.routes[name]]));

const certificateOf = (ctx) => ctx.req.socket.getPeerX509Certificate?.();

function subjectMatches(certificate, property, expected) {
  if (property === 'tls_client_auth_subject_dn') return certificate.subject.split('\n').reverse().join(',') === expected;
  if (property === 'tls_client_auth_san_dns') return certificate.subjectAltName.split(', ').includes(`DNS:${expected}`);
  return false;
}

const account = (sub) => ({ accountId: sub, claims: () => claims(sub) });
const claims = (sub) => ({ sub, email: `${sub}@example.com`, email_verified: true, name: `Test ${sub}` });

const page = (sentence, form) => `<!DOCTYPE html><title>Sign-in</title><p>${sentence}</p>${form}
${form && '<button form="op.deviceInputForm">Continue</button><button form="op.deviceConfirmForm">Continue</button>'}`;

function resourceServer(resource) {
  if (new URL(resource).hostname.startsWith('unknown')) throw new errors.InvalidTarget();
  return { scope: API_SCOPES, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
}

// With pages a person is asked first; without, whoever signs in grants what was asked for.
async function loadGrant(face, ctx) {
  const { client, provider, requestParamOIDCScopes, result, session } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  const grant = known && await provider.Grant.find(known);
  if (asksPeople(face, ctx, client) && !result?.consent) return grant;
  return grantScopes(ctx, [...requestParamOIDCScopes], Object.keys(ctx.oidc.resourceServers), grant);
}

async function grantScopes(ctx, scopes, resources, known) {
  const { client: { clientId }, account: { accountId }, provider } = ctx.oidc;
  const grant = known || new provider.Grant({ clientId, accountId });
  grant.addOIDCScope(scopes);
  for (const resource of resources) grant.addResourceScope(resource, API_SCOPES);
  await grant.save();
  return grant;
}

// The test's own browser says who it is, and needs no page.
const asksPeople = (face, ctx, client) => !ctx.get('x-account') && face.setting('pages', client);

// Where the provider sends a browser to sign in and to agree; the form comes back to the same address.
async function interact(face, ctx, fields) {
  const { prompt, params } = await face.provider.interactionDetails(ctx.req, ctx.res);
  const finish = (result) => {
    ctx.respond = false;
    return face.provider.interactionFinished(ctx.req, ctx.res, result);
  };
  const client = await face.provider.Client.find(params.client_id);
  if (!asksPeople(face, ctx, client)) {
    return finish({ login: { accountId: ctx.get('x-account') || 'ada' }, consent: {} });
  }
  if (fields.decision === 'cancel') {
    return finish({ error: 'access_denied', error_description: 'End-User aborted interaction' });
  }
  if (fields.decision === 'allow') return finish({ consent: {} });
  const accountId = accountOf(fields.username);
  if (PEOPLE[accountId] && PEOPLE[accountId].password === fields.password) return finish({ login: { accountId } });
  ctx.body = prompt.name === 'consent'
    ? consentPage(params) : signInPage(fields.username ?? params.login_hint, ctx.method === 'POST');
  return undefined;
}

const escape = (value = '') => value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

const STYLE = `<style>
  :root { font: 18px/1.5 sans-serif } body { max-width: 26rem; margin: 16vh auto 0; padding: 0 1.5rem }
  label { display: block; margin: .75rem 0 } input { display: block; width: 100% } input, button { font: inherit }
</style>`;

const signInPage = (name, wrong) => `<!DOCTYPE html><html lang="en"><title>Sign in</title>${STYLE}
<h1>Sign in</h1>${wrong ? '<p id="wrong">Wrong user name or password.</p>' : ''}
<form method="post"><label>User name <input id="username" name="username" value="${escape(name)}"></label>
<label>Password <input id="password" name="password" type="password"></label>
<button id="sign-in" name="decision" value="sign-in">Sign in</button>
<button id="cancel" name="decision" value="cancel">Cancel</button></form></html>`;

const consentPage = ({ client_id: client, scope = '', audience, resource }) => `<!DOCTYPE html>
<html lang="en"><title>Consent</title>${STYLE}<h1>Allow ${escape(client)}?</h1>
<p id="resource">${escape(String(resource ?? audience ?? ''))}</p>
<ul id="scopes">${scope.split(' ').map((one) => `<li>${escape(one)}</li>`).join('')}</ul>
<form method="post"><button id="allow" name="decision" value="allow">Allow</button>
<button id="cancel" name="decision" value="cancel">Cancel</button></form></html>`;

// --- around the provider: counts, faults, pace, dialect --------------------------------------------------------------

async function answer(face, ctx, next) {
  const raw = ctx.method === 'POST' ? await text(ctx.req) : '';
  ctx.req.body = raw; // oidc-provider takes it from there once the stream has been read
  const endpoint = face.endpoint(ctx.path);
  const asked = endpoint === 'authorization' && !raw ? ctx.querystring : raw;
  const fields = Object.fromEntries(new URLSearchParams(asked));
  const grant = endpoint === 'token' ? (fields.grant_type ?? '').split(/[:/]/).at(-1) : '';
  if (face.settings.date_offset) ctx.set('date', new Date(Date.now() + face.settings.date_offset * 1000).toUTCString());
  if (ctx.path.startsWith('/interaction/')) return interact(face, ctx, fields);
  if (endpoint === 'page' || endpoint === 'code_verification' || ctx.get('x-uncounted')) return next();

  const record = remember(face, ctx, endpoint, grant, fields);
  record.resource = new URLSearchParams(asked).getAll('resource');
  const fault = takeFault(face, endpoint, grant);
  if (fault) await sleep(fault.delay * 1000);
  if (fault?.status) ruin(ctx, fault);
  else await respond(face, ctx, next, endpoint, fields, record);
  pace(face, ctx, fields, grant);
  record.status = ctx.status;
  record.error = ctx.body?.error ?? null;
  if (fault?.lose) {
    ctx.respond = false;
    ctx.req.socket.destroy();
  }
}

async function respond(face, ctx, next, endpoint, fields, record) {
  if (face.auth0 && endpoint === 'authorization') alwaysOffline(ctx, fields);
  if (fields.grant_type === 'refresh_token') keepToPolicy(face, ctx, fields);
  const refusal = tooEarly(face, fields) ?? otherAuthentication(face, fields, record) ?? noAudience(face, fields);
  if (refusal) {
    const { status, ...body } = refusal;
    Object.assign(ctx, { status, body });
  } else {
    await next();
  }
  if (endpoint === 'device_authorization' && ctx.status === 200 && face.settings.interval !== null) {
    ctx.body.interval = face.settings.interval; // oidc-provider sends none
  }
  if (face.auth0) speakAuth0(face, ctx, endpoint, fields);
  if (ctx.status === 200 && (endpoint === 'token' || endpoint === 'device_authorization')) {
    const { grant_type, client_id } = record;
    face.issued.push({ at: Date.now() / 1000, endpoint, grant_type, client_id, ...ctx.body });
  }
}

function remember(face, ctx, endpoint, grant, fields) {
  for (const name of new Set([endpoint, grant].filter(Boolean))) face.counts[name] = (face.counts[name] ?? 0) + 1;
  const basic = basicClient(ctx.get('authorization'));
  const authentication = basic !== undefined ? 'client_secret_basic'
    : 'client_secret' in fields ? 'client_secret_post'
      : 'client_assertion' in fields ? assertionMethod(fields.client_assertion) : 'none';
  const record = {
    at: Date.now() / 1000, endpoint, method: ctx.method, grant_type: grant, authentication, fields,
    client_id: basic ?? fields.client_id ?? null, status: 0, error: null, headers: ctx.headers,
    certificate: certificateOf(ctx)?.fingerprint256.replaceAll(':', '').toLowerCase() ?? null,
  };
  face.requests.push(record);
  return record;
}

function assertionMethod(assertion) {
  const { alg } = JSON.parse(Buffer.from(assertion.split('.')[0], 'base64url').toString());
  return alg.startsWith('HS') ? 'client_secret_jwt' : 'private_key_jwt';
}

function basicClient(authorization) {
  const [scheme, value] = authorization.split(' ');
  if (scheme.toLowerCase() !== 'basic' || !value) return undefined;
  const [id] = Buffer.from(value, 'base64').toString().split(':');
  try {
    return decodeURIComponent(id.replaceAll('+', ' '));
  } catch {
    return id; // badly encoded: the provider says so itself
  }
}

function takeFault(face, endpoint, grant) {
  const index = face.faults.findIndex((fault) => fault.endpoint === endpoint || fault.endpoint === grant);
  if (index < 0) return undefined;
  const fault = face.faults[index];
  if (fault.times !== null) fault.times -= 1;
  if (fault.times === 0) face.faults.splice(index, 1);
  return fault;
}

function ruin(ctx, fault) {
  ctx.status = fault.status;
  ctx.set('content-type', typeof fault.body === 'string' ? 'text/html; charset=utf-8' : 'application/json');
  ctx.set(fault.headers);
  ctx.body = fault.body ?? '';
}

// RFC 8628 §3.5, which oidc-provider leaves out.
function tooEarly(face, fields) {
  const known = face.pace.get(fields.device_code);
  if (!known || !face.settings.enforce_interval || Date.now() >= known.notBefore - POLL_TOLERANCE) return undefined;
  return { status: 400, error: 'slow_down', error_description: 'you are polling too quickly' };
}

function pace(face, ctx, fields, grant) {
  if (grant !== 'device_code' || !fields.device_code) return;
  const known = face.pace.get(fields.device_code) ?? { interval: (face.settings.interval ?? 5) * 1000 };
  if (ctx.body?.error === 'slow_down') known.interval += 5000;
  known.notBefore = Date.now() + known.interval;
  face.pace.set(fields.device_code, known);
}

// oidc-provider takes a secret either way, whatever the client is registered with; Auth0, Okta and others do not.
function otherAuthentication(face, fields, { client_id: id, authentication }) {
  const registered = face.store.model('Client').get(id)?.token_endpoint_auth_method;
  const secrets = ['client_secret_basic', 'client_secret_post'];
  if (!secrets.includes(registered) || !secrets.includes(authentication)) return undefined;
  if (registered === authentication) return undefined;
  return { status: 401, error: 'invalid_client', error_description: 'client authentication failed' };
}

function noAudience(face, fields) {
  if (!face.auth0 || fields.grant_type !== 'client_credentials' || fields.audience || fields.resource) return undefined;
  const error_description = 'Non-global clients are not allowed access to APIv1';
  return { status: 403, error: 'access_denied', error_description };
}

// --- Auth0's dialect, from its documentation -------------------------------------------------------------------------

// oidc-provider grants offline_access to nobody who does not also ask for consent (OIDC Core §11); Auth0 does.
function alwaysOffline(ctx, { scope = '' }) {
  if (scope.split(' ').includes('offline_access')) ctx.query = { ...ctx.query, prompt: 'consent' };
}

const policyOf = (face, client) => face.setting('multi_resource', client) ?? (face.auth0 ? [] : null);

// Multi-Resource Refresh Tokens: an audience of the client's policy is served, any other one is ignored, silently.
function keepToPolicy(face, ctx, fields) {
  const token = face.store.model('RefreshToken').get(fields.refresh_token);
  const policy = token && policyOf(face, token);
  if (!policy) return;
  const { audience, resource, ...others } = fields;
  const asked = [audience, resource].find((one) => policy.includes(one));
  ctx.req.body = new URLSearchParams({ ...others, ...(asked && { resource: asked }) }).toString();
  if (asked) token.resource = [...new Set([token.resource, asked].flat())]; // the sign-in's own is the first
  const grant = face.store.model('Grant').get(token.grantId);
  if (asked && grant) grant.resources = { [asked]: API_SCOPES, ...grant.resources };
}

const CREDENTIALS = {
  wrong: { status: 403, error: 'invalid_grant', error_description: 'Wrong email or password.' },
  blocked: { status: 403, error: 'unauthorized', error_description: 'user is blocked' },
  too_many_attempts: {
    status: 429,
    error: 'too_many_attempts',
    error_description: 'Your account has been blocked after multiple consecutive login attempts.',
  },
  mfa_required: {
    status: 403,
    error: 'mfa_required',
    error_description: 'Multifactor authentication required',
    mfa_token: 'Fe26.2**1a',
  },
  connection: { status: 403, error: 'invalid_request', error_description: 'the connection was not found' },
  default_connection: {
    status: 403,
    error: 'server_error',
    error_description: 'Authorization server not configured with default connection.',
  },
};

function refusedPerson(face, { grant_type: grant, username, password, realm }) {
  const connection = grant === PASSWORD_REALM ? realm : face.settings.default_connection;
  if (!connection) return CREDENTIALS[grant === PASSWORD_REALM ? 'connection' : 'default_connection'];
  if (!Object.values(PEOPLE).some((one) => one.connection === connection)) return CREDENTIALS.connection;
  const person = PEOPLE[accountOf(username)];
  if (person?.connection !== connection || person.password !== password) return CREDENTIALS.wrong;
  return CREDENTIALS[person.refusal];
}

// `password` (RFC 6749 §4.3) and Auth0's password-realm: oidc-provider has neither, but issues what they bring.
async function passwordGrant(face, ctx) {
  const { client, params, provider } = ctx.oidc;
  const refusal = refusedPerson(face, params);
  if (refusal) {
    const { status, ...body } = refusal;
    Object.assign(ctx, { status, body });
    return;
  }
  const accountId = accountOf(params.username);
  ctx.oidc.entity('Account', account(accountId));
  const asked = (params.scope ?? `openid profile email ${API_SCOPES}`).split(' '); // none asked for: all (Auth0)
  const scopes = asked.filter((one) => OIDC_SCOPES.includes(one));
  const resource = params.audience || undefined;
  const server = resource && new provider.ResourceServer(resource, resourceServer(resource));
  const grant = await grantScopes(ctx, scopes, resource ? [resource] : []);
  const about = { accountId, client, grantId: grant.jti, gty: 'password' };

  const access = new provider.AccessToken(about);
  if (server) access.resourceServer = server;
  access.scope = asked.filter((one) => (server?.scopes ?? new Set(OIDC_SCOPES)).has(one)).join(' ') || undefined;
  ctx.oidc.entity('AccessToken', access);
  const answer = { access_token: await access.save(), token_type: 'Bearer', expires_in: access.expiration };
  if (asked.includes('offline_access') && client.grantTypeAllowed('refresh_token')) {
    const more = { authTime: now(), resource, rotations: 0, scope: asked.join(' ') };
    answer.refresh_token = await new provider.RefreshToken({ ...about, ...more }).save();
  }
  if (asked.includes('openid')) {
    const id = new provider.IdToken({ ...claims(accountId), auth_time: now() }, { ctx });
    id.scope = scopes.join(' ');
    answer.id_token = await id.issue({ use: 'idtoken' });
  }
  ctx.body = { ...answer, scope: asked.join(' ') };
}

// The token of a job, or one of the provider's own, for a token of the provider's.
async function platformGrant(face, ctx) {
  const { client, params, provider } = ctx.oidc;
  const { sub: accountId } = trusted(face, params.subject_token ?? params.assertion);
  ctx.oidc.entity('Account', account(accountId));
  const resource = params.audience || [params.resource].flat()[0];
  const server = resource && new provider.ResourceServer(resource, resourceServer(resource));
  const grant = await grantScopes(ctx, [], resource ? [resource] : []);
  const access = new provider.AccessToken({ accountId, client, grantId: grant.jti, gty: 'platform' });
  if (server) access.resourceServer = server;
  access.scope = (params.scope ?? API_SCOPES).split(' ').filter((one) => server?.scopes.has(one)).join(' ') || undefined;
  ctx.oidc.entity('AccessToken', access);
  ctx.body = { access_token: await access.save(), token_type: 'Bearer', expires_in: access.expiration };
  if (params.subject_token) ctx.body.issued_token_type = ACCESS_TOKEN_TYPE;
}

// RFC 7523 §3: the signature, whom it is for and until when.
function trusted(face, token = '') {
  const refuse = (why) => { throw new errors.CustomOIDCProviderError('invalid_grant', why); };
  const [header, payload, signature] = token.split('.');
  if (!signature) refuse('not a JWT');
  const said = [header, payload].map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  const [{ kid }, { iss, aud, exp }] = said;
  const keys = iss === face.issuer ? face.keys : iss === face.settings.platform?.issuer && face.settings.platform.keys;
  if (!keys) refuse(`the issuer ${iss} is not trusted`);
  const key = keys.find((one) => one.kid === kid);
  const signed = key && verify(
    'RSA-SHA256', Buffer.from(`${header}.${payload}`), createPublicKey({ key, format: 'jwk' }),
    Buffer.from(signature, 'base64url'),
  );
  if (!signed) refuse('the signature is not the issuer\'s');
  if (iss !== face.issuer && ![aud].flat().includes(face.issuer)) refuse(`it is for ${aud}`);
  if (exp <= now()) refuse('it has expired');
  return said[1];
}

const AUTH0 = {
  authorization_pending: { status: 403, error_description: 'User has yet to authorize device code.' },
  slow_down: { status: 429, error_description: 'You are polling faster than the specified interval of 5 seconds.' },
  expired_token: { status: 403, error_description: 'The device_code is expired.' },
  access_denied: { status: 403, error_description: 'User cancelled the confirmation prompt.' },
  invalid_grant: { status: 403, error_description: 'Unknown or invalid refresh token.' },
  invalid_client: { status: 401, error: 'access_denied', error_description: 'Unauthorized' },
  invalid_target: { status: 403, error: 'access_denied', error_description: 'Service not found' },
};

function speakAuth0(face, ctx, endpoint, fields) {
  const { body } = ctx;
  if (body?.error_description === 'requested grant type is not allowed for this client') {
    ctx.status = 403;
    body.error = 'unauthorized_client';
    body.error_description = `Grant type '${fields.grant_type}' not allowed for the client.`;
  }
  if (body?.error && (endpoint === 'token' || endpoint === 'device_authorization' || endpoint === 'revocation')) {
    if (body.error === 'expired_token') face.store.model('DeviceCode').delete(fields.device_code); // said once
    const { status, ...words } = AUTH0[body.error] ?? {};
    if (body.error === 'invalid_grant' && fields.device_code) {
      words.error_description = 'Invalid or expired device code.';
    }
    if (body.error === 'invalid_grant' && fields.code) words.error_description = 'Invalid authorization code';
    if (body.error === 'invalid_grant' && PASSWORD_GRANTS.includes(fields.grant_type)) return; // said already
    if (status && ctx.status < 500 && !(body.error === 'access_denied' && fields.grant_type !== DEVICE_CODE)) {
      ctx.status = status;
      Object.assign(body, words);
    }
  }
  // Without an audience Auth0's access token is for its userinfo endpoint alone: a JWE that begins like a JWT.
  if (endpoint === 'token' && body?.access_token && body.access_token.split('.').length !== 3) {
    body.access_token = jwe(body.access_token);
  }
  // oidc-provider speaks of the API's scopes alone.
  const granted = body?.refresh_token && face.store.model('RefreshToken').get(body.refresh_token);
  if (granted) body.scope = granted.scope;
}

const base64url = (value) => Buffer.from(value).toString('base64url');

const jwe = (token) => [
  base64url('{"alg":"dir","enc":"A256GCM"}'),
  '',
  base64url(randomBytes(12)),
  base64url(token),
  base64url(randomBytes(16)),
].join('.');

function auth0Audience(face, token, { payload }) {
  if (token.scopes?.has('openid') || token.accountId) payload.aud = [payload.aud, `${face.issuer}userinfo`];
  else payload.sub = `${payload.sub}@clients`;
}

// --- a browser, to answer a user code through the provider's own pages -----------------------------------------------

class Browser {
  constructor(face, account) {
    this.headers = { 'x-account': account, accept: 'text/html' };
    this.face = face;
    this.cookies = new Map();
  }

  async fetch(url, form) {
    const target = new URL(url, this.face.issuer);
    const body = form && new URLSearchParams(form).toString();
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...this.headers, cookie };
    if (body) headers['content-type'] = 'application/x-www-form-urlencoded';
    if (body) headers['content-length'] = body.length;
    const client = target.protocol === 'https:' ? https : http;
    const options = { method: form ? 'POST' : 'GET', headers, agent: false, ca: CA };
    const response = await new Promise((resolve, reject) => {
      client.request(target, options, resolve).on('error', reject).end(body);
    });
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    const content = await text(response);
    if (response.statusCode < 300 || response.statusCode > 399) return { status: response.statusCode, content };
    return this.fetch(response.headers.location);
  }
}

async function userCode(face, { user_code, account = 'ada', decision }) {
  const browser = new Browser(face, account);
  const form = await browser.fetch(`${face.routes.code_verification}?user_code=${encodeURIComponent(user_code)}`);
  const xsrf = /name="xsrf" value="([^"]*)"/.exec(form.content)?.[1];
  const { content } = await browser.fetch(face.routes.code_verification, { xsrf, user_code, [decision]: 'yes' });
  const wanted = decision === 'confirm' ? 'signed in' : 'refused: AbortedError';
  if (!content.includes(wanted)) throw new Error(`the provider did not take the user code: ${content.slice(0, 500)}`);
}

// --- control ---------------------------------------------------------------------------------------------------------

const live = (payload) => !payload.consumed && payload.exp > now();

function honoured(face, token) {
  const found = face.store.model('RefreshToken').get(token);
  const grant = face.store.model('Grant').get(found?.grantId);
  return Boolean(found && grant && live(found) && live(grant));
}

const operations = {
  reset: (face) => { face.reset(); },
  counts: (face) => face.counts,
  reset_counts: (face) => { face.resetCounts(); },
  requests: (face) => face.requests,
  issued: (face) => face.issued,
  fail: (face, fault) => { face.faults.push({ times: 1, delay: 0, headers: {}, lose: false, ...fault }); },
  clear_faults: (face) => { face.faults = []; },
  configure: (face, { client_id: id, ...settings }) => {
    Object.assign(id ? (face.settings.clients[id] ??= {}) : face.settings, settings);
    if (BUILT_IN.some((name) => name in settings)) {
      face.rebuilt = true;
      face.build();
    }
  },
  add_client: (face, metadata) => { face.store.model('Client').set(metadata.client_id, metadata); },
  approve: (face, { user_code, account }) => userCode(face, { user_code, account, decision: 'confirm' }),
  deny: (face, { user_code }) => userCode(face, { user_code, decision: 'abort' }),
  pending: (face) => [...face.store.model('DeviceCode').values()]
    .filter((code) => live(code) && !code.accountId && !code.error && !code.inFlight)
    .map((code) => code.userCode.replace(/^(.{4})/, '$1-')),
  expire_device_code: (face, { user_code }) => {
    const wanted = user_code.replace('-', '');
    const code = [...face.store.model('DeviceCode').values()].find((one) => one.userCode === wanted);
    if (!code) throw new Error(`no such user code: ${user_code}`);
    code.exp = now() - 1;
  },
  rotate_keys: (face, { keep_old: keep = true, algorithm = 'RS256', jwks = null }) => {
    const fresh = newKeys();
    face.keys = keep ? [...fresh, ...face.keys] : fresh;
    Object.assign(face, { algorithm, rebuilt: true });
    face.route(jwks ? { jwks } : {});
    face.build();
    return fresh.map((key) => key.kid);
  },
  honoured: (face, { refresh_token: token }) => honoured(face, token),
  refresh_tokens: (face) => [...face.store.model('RefreshToken').values()].map((payload) => ({
    refresh_token: payload.jti,
    account: payload.accountId,
    client_id: payload.clientId,
    rotations: payload.rotations ?? 0,
    honoured: honoured(face, payload.jti),
  })),
  revoke_grants: (face, { account }) => {
    const grants = [...face.store.model('Grant')].filter(([, grant]) => !account || grant.accountId === account);
    for (const [id] of grants) {
      face.store.revoke(id);
      face.store.model('Grant').delete(id);
    }
    return grants.length;
  },
};

async function control(req, res) {
  const reply = (status, value) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value ?? null));
  };
  try {
    const [, name, operation] = req.url.split('/');
    const argument = JSON.parse((await buffer(req)).toString() || '{}');
    if (!faces.has(name) || !Object.hasOwn(operations, operation)) reply(404, { error: `no such control: ${req.url}` });
    else reply(200, await operations[operation](faces.get(name), argument));
  } catch (error) {
    reply(400, { error: String(error?.message ?? error) });
  }
}

// --- start -----------------------------------------------------------------------------------------------------------

const FIRST_KEYS = newKeys();
const read = (variable) => (process.env[variable] ? readFileSync(process.env[variable]) : undefined);
const CA = read('OIDC_TLS_CA');
const tls = process.env.OIDC_TLS_CERT && { cert: read('OIDC_TLS_CERT'), key: read('OIDC_TLS_KEY') };

const faces = new Map([['plain', new Face('plain', {})], ['auth0', new Face('auth0', { auth0: true })]]);
if (tls) {
  faces.set('tls', new Face('tls', { tls }));
  faces.set('auth0_tls', new Face('auth0_tls', { auth0: true, tls }));
}
for (const face of faces.values()) await face.listen();

const admin = http.createServer(control);
admin.keepAliveTimeout = 0; // a test may come back just when node would close an idle connection
await new Promise((resolve) => { admin.listen(0, '127.0.0.1', resolve); });

process.stdin.resume().on('end', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
process.stdout.write(`${JSON.stringify({
  admin: `http://127.0.0.1:${admin.address().port}`,
  faces: Object.fromEntries([...faces].map(([name, face]) => (
    [name, { issuer: face.issuer, routes: face.routes, mtls: face.mtls ?? '' }]
  ))),
})}\n`);
