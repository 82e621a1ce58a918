// A real, OpenID-certified provider (npm oidc-provider) for the integration tests; integration/provider.py drives it.
//
// Rules of this file:
//   1. What a client sees is the provider's own answer, except where a comment cites why not: `interval`, slow_down and
//      exact client authentication (oidc-provider has none of them), and the dialect of Auth0.
//   2. One process, four faces: plain and auth0 over http, tls and auth0_tls over https. Each has a port, a store,
//      clients, counts and faults of its own; they share nothing but the first signing keys.
//   3. stdout carries one line of JSON, when every port listens. Everything else goes to stderr.
//   4. The process ends when stdin does, so that a killed test run leaves nothing behind.
//
// Environment: OIDC_TLS_CERT, OIDC_TLS_KEY (PEM files; without them there are no https faces), OIDC_TLS_CA (PEM file),
// OIDC_SHORT_TTL (seconds that tokens of the "-short" clients live, 4).
// Control: POST http://ADMIN/FACE/OPERATION with a JSON object of arguments; see `operations` below.

console.info = console.error; // oidc-provider writes its notices there, and stdout is ours

import { createPrivateKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { Provider, errors } from 'oidc-provider';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const SHORT_TTL = Number(process.env.OIDC_SHORT_TTL || 4);
const POLL_TOLERANCE = 20; // ms; a timer of the client's may fire a little early
const API_SCOPES = 'read:pods write:pods';

const ROUTES = {
  rfc: {
    authorization: '/auth', token: '/token', device_authorization: '/device/auth', revocation: '/token/revocation',
    introspection: '/token/introspection', jwks: '/jwks', userinfo: '/me', code_verification: '/device',
    end_session: '/session/end',
  },
  auth0: {
    authorization: '/authorize', token: '/oauth/token', device_authorization: '/oauth/device/code',
    revocation: '/oauth/revoke', introspection: '/oauth/introspect', jwks: '/.well-known/jwks.json',
    userinfo: '/userinfo', code_verification: '/activate', end_session: '/oidc/logout',
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
  clients: {}, // the four *_ttl of a client, by client_id
};

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

const CLIENTS = [
  person('cli'),
  person('cli-short'),
  person('cli-no-refresh', { grant_types: [DEVICE_CODE] }),
  person('cli-confidential', { token_endpoint_auth_method: 'client_secret_basic', client_secret: ODD_SECRET }),
  machine('m2m-basic:odd/id', ODD_SECRET, 'client_secret_basic'),
  machine('m2m-post:odd/id', ODD_SECRET, 'client_secret_post'),
  machine('m2m-short', 'short-secret', 'client_secret_basic'),
];

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
  const stamp = randomUUID().slice(0, 8);
  return [
    { ...rsa, kid: `rsa-${stamp}`, use: 'sig', alg: 'RS256' },
    { ...ec, kid: `ec-${stamp}`, use: 'sig', alg: 'ES256' },
  ];
}

class Face {
  constructor(name, { auth0, tls }) {
    Object.assign(this, { name, auth0, tls, store: new Store(), keys: FIRST_KEYS, cookieKey: randomUUID() });
    this.routes = auth0 ? ROUTES.auth0 : ROUTES.rfc;
    this.names = new Map(Object.entries(this.routes).map(([endpoint, path]) => [path, endpoint]));
    this.pace = new Map(); // device_code → { interval, notBefore } in ms
    this.reset();
  }

  async listen() {
    const handler = (req, res) => this.handle(req, res);
    this.server = this.tls ? https.createServer(this.tls, handler) : http.createServer(handler);
    await new Promise((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    const origin = `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.server.address().port}`;
    this.issuer = this.auth0 ? `${origin}/` : origin; // Auth0's issuers end in a slash
    this.build();
  }

  // A provider's keys are fixed when it is made, so a rotation is a new provider over the same store.
  build() {
    this.provider = new Provider(this.issuer, configuration(this));
    this.provider.on('server_error', (ctx, error) => { console.error(ctx.path, error); });
    this.provider.use((ctx, next) => answer(this, ctx, next));
    this.handle = this.provider.callback();
  }

  reset() {
    this.settings = structuredClone(DEFAULTS);
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

  ttl(key, client) {
    return this.settings.clients[client?.clientId]?.[key] ?? this.settings[key];
  }

  endpoint(path) {
    if (path.startsWith('/.well-known/') && !this.names.has(path)) return 'discovery';
    return this.names.get(path) ?? 'page';
  }
}

// --- the provider ----------------------------------------------------------------------------------------------------

function configuration(face) {
  const ttl = (key) => (ctx, token, client) => face.ttl(key, client);
  return {
    adapter: (name) => face.store.adapter(name),
    jwks: { keys: structuredClone(face.keys) },
    routes: face.routes,
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false, // as Auth0 and most others do: e-mail and name are in the ID token
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    cookies: { keys: [face.cookieKey] },
    rotateRefreshToken: true, // a spent one that comes back revokes the whole grant
    expiresWithSession: () => false,
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => claims(sub) }),
    loadExistingGrant: grantAll,
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
        defaultResource: (ctx, client, oneOf) => oneOf ?? (ctx.oidc.body?.audience || undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource),
      },
    },
  };
}

const claims = (sub) => ({ sub, email: `${sub}@example.com`, email_verified: true, name: `Test ${sub}` });

const page = (sentence, form) => `<!DOCTYPE html><title>Sign-in</title><p>${sentence}</p>${form}
${form && '<button form="op.deviceInputForm">Continue</button><button form="op.deviceConfirmForm">Continue</button>'}`;

function resourceServer(resource) {
  if (new URL(resource).hostname.startsWith('unknown')) throw new errors.InvalidTarget();
  return { scope: API_SCOPES, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
}

// Consent is not what is tested: whoever signs in grants what was asked for.
async function grantAll(ctx) {
  const { client, provider, resourceServers, requestParamOIDCScopes, account } = ctx.oidc;
  const granted = ctx.oidc.session.grantIdFor(client.clientId);
  const grant = (granted && await provider.Grant.find(granted))
    || new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
  grant.addOIDCScope([...requestParamOIDCScopes]);
  for (const resource of Object.keys(resourceServers)) grant.addResourceScope(resource, API_SCOPES);
  await grant.save();
  return grant;
}

// The person of an interaction is whoever the test's own browser says it is (a real browser is always ada).
async function interact(face, ctx) {
  await face.provider.interactionDetails(ctx.req, ctx.res);
  const login = { accountId: ctx.get('x-account') || 'ada' };
  ctx.respond = false;
  await face.provider.interactionFinished(ctx.req, ctx.res, { login, consent: {} });
}

// --- around the provider: counts, faults, pace, dialect --------------------------------------------------------------

async function answer(face, ctx, next) {
  const raw = ctx.method === 'POST' ? await text(ctx.req) : '';
  ctx.req.body = raw; // oidc-provider takes it from there once the stream has been read
  const fields = Object.fromEntries(new URLSearchParams(raw));
  const endpoint = face.endpoint(ctx.path);
  const grant = endpoint === 'token' ? (fields.grant_type ?? '').split(':').at(-1) : '';
  if (face.settings.date_offset) ctx.set('date', new Date(Date.now() + face.settings.date_offset * 1000).toUTCString());
  if (ctx.path.startsWith('/interaction/')) return interact(face, ctx);
  if (endpoint === 'page' || endpoint === 'code_verification' || ctx.get('x-uncounted')) return next();

  const record = remember(face, ctx, endpoint, grant, fields);
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
      : 'client_assertion' in fields ? 'private_key_jwt' : 'none';
  const record = {
    at: Date.now() / 1000, endpoint, method: ctx.method, grant_type: grant, authentication, fields,
    client_id: basic ?? fields.client_id ?? null, status: 0, error: null, headers: ctx.headers,
  };
  face.requests.push(record);
  return record;
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
  if (body?.error && (endpoint === 'token' || endpoint === 'device_authorization' || endpoint === 'revocation')) {
    if (body.error === 'expired_token') face.store.model('DeviceCode').delete(fields.device_code); // said once
    const { status, ...words } = AUTH0[body.error] ?? {};
    if (body.error === 'invalid_grant' && fields.device_code) {
      words.error_description = 'Invalid or expired device code.';
    }
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
  rotate_keys: (face, { keep_old: keep = true }) => {
    const fresh = newKeys();
    face.keys = keep ? [...fresh, ...face.keys] : fresh;
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
await new Promise((resolve) => { admin.listen(0, '127.0.0.1', resolve); });

process.stdin.resume().on('end', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
process.stdout.write(`${JSON.stringify({
  admin: `http://127.0.0.1:${admin.address().port}`,
  faces: Object.fromEntries([...faces].map(([name, face]) => [name, { issuer: face.issuer, routes: face.routes }])),
})}\n`);
