// graphql-transport-ws: a conformance suite over raw sockets, and the npm client graphql-ws.
//
// node socket.mjs <ws url> <token> [--short <token that lives for a few seconds>] [--renewed <token of the same user>]
//                 [--other <token of another user>] [--init-wait <ms, 10000>]

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { Report, assert, equal, oneOf } from './report.mjs';

const [url, token, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.flatMap((value, i) => (value.startsWith('--') ? [[value.slice(2), rest[i + 1]]] : [])));
if (!url || !token) {
  console.error('usage: node socket.mjs <ws url> <token> [--short t] [--renewed t] [--other t] [--init-wait ms]');
  process.exit(2);
}
const INIT_WAIT_MS = Number(options['init-wait'] ?? 10_000);
const REPLY_WAIT_MS = 5_000;
const QUIET_MS = 150;
const PROTOCOL = 'graphql-transport-ws';
const CHANGES = 'subscription { executionsChanged { kind cursor } }';
const VIEWER = '{ viewer { userId } }';

const report = new Report();
const check = (name, run) => report.check(name, run);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A socket whose messages can be awaited one by one.
class Raw {
  constructor(protocols = [PROTOCOL], socketOptions = {}) {
    this.socket = new WebSocket(url, protocols, socketOptions);
    this.messages = [];
    this.waiting = [];
    this.socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      const waiting = this.waiting.shift();
      if (waiting) waiting(message);
      else this.messages.push(message);
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('error', reject);
    });
    this.opened.catch(() => {});
  }

  static async open(...args) {
    const raw = new Raw(...args);
    await raw.opened;
    return raw;
  }

  static async ready(payload = { authorization: `Bearer ${token}` }) {
    const raw = await Raw.open();
    raw.send({ type: 'connection_init', payload });
    const ack = await raw.next();
    equal(ack.type, 'connection_ack', 'type');
    raw.ack = ack;
    return raw;
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id, query, more = {}) {
    this.send({ type: 'subscribe', id, payload: { query, ...more } });
  }

  next(wait = REPLY_WAIT_MS) {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no message')), wait);
      this.closed.then(({ code, reason }) => reject(new Error(`closed with ${code} ${reason}`)));
      this.waiting.push((message) => {
        clearTimeout(timer);
        resolve(message);
      });
    });
  }

  // The next message of one operation.
  async of(id) {
    for (;;) {
      const message = await this.next();
      if (message.id === id) return message;
    }
  }

  async quiet(ms = QUIET_MS) {
    await sleep(ms);
    const { messages } = this;
    this.messages = [];
    return messages;
  }

  async closes(code, wait = REPLY_WAIT_MS) {
    const timer = sleep(wait).then(() => ({ code: 'still open' }));
    const closed = await Promise.race([this.closed, timer]);
    this.socket.terminate();
    equal(closed.code, code, `close code (${closed.reason})`);
    return closed.reason;
  }

  end() {
    this.socket.close(1000);
    return this.closed;
  }
}

async function execute(raw, id, query, more) {
  raw.subscribe(id, query, more);
  const next = await raw.of(id);
  equal(next.type, 'next', `type (${JSON.stringify(next.payload)})`);
  equal((await raw.of(id)).type, 'complete', 'type');
  return next.payload;
}

// A change for subscribers to see, whatever the server's own pace.
let changes;
async function makeChanges() {
  const raw = await Raw.ready();
  let id = 0;
  changes = setInterval(() => {
    id += 1;
    if (raw.socket.readyState === WebSocket.OPEN) {
      raw.subscribe(`change-${id}`, 'mutation { startExecution(input: {name: "change"}) { execution { id } } }');
    }
  }, 50);
  changes.unref();
}

// ---- the handshake

await check('the protocol is graphql-transport-ws', async () => {
  const raw = await Raw.open();
  equal(raw.socket.protocol, PROTOCOL, 'protocol');
  await raw.end();
});
await check('of several protocols the right one is chosen', async () => {
  const raw = await Raw.open(['graphql-ws', PROTOCOL]);
  equal(raw.socket.protocol, PROTOCOL, 'protocol');
  await raw.end();
});
await check('no protocol is 4406', async () => {
  const raw = await Raw.open([]);
  await raw.closes(4406);
});
await check('the legacy protocol is not spoken', async () => {
  const raw = new Raw(['graphql-ws']);
  await raw.opened.then(() => raw.closes(4406), () => {});
});

// ---- the beginning

await check('connection_init is acknowledged, with the expiry of the token', async () => {
  const raw = await Raw.ready();
  assert(Date.parse(raw.ack.payload.expiresAt) > Date.now(), `expiresAt ${raw.ack.payload.expiresAt}`);
  await raw.end();
});
for (const [name, payload] of [
  ['authorization', { authorization: `Bearer ${token}` }],
  ['Authorization', { Authorization: `Bearer ${token}` }],
  ['a bare token', { authorization: token }],
]) {
  await check(`a token may stand under ${name}`, async () => (await Raw.ready(payload)).end());
}
for (const [name, payload] of [
  ['no payload', undefined],
  ['null', null],
  ['an empty payload', {}],
  ['a token that is not valid', { authorization: 'Bearer nonsense' }],
  ['a token of another scheme', { authorization: 'Basic dXNlcjpwYXNz' }],
  ['a token that is no text', { authorization: 7 }],
]) {
  await check(`connection_init with ${name} is 4403`, async () => {
    const raw = await Raw.open();
    raw.send({ type: 'connection_init', payload });
    const reason = await raw.closes(4403);
    assert(reason.startsWith('Forbidden'), reason);
  });
}
await check('a second connection_init is 4429', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'connection_init' });
  await raw.closes(4429);
});
await check('a second connection_init at once is 4429', async () => {
  const raw = await Raw.open();
  raw.send({ type: 'connection_init', payload: { authorization: token } });
  raw.send({ type: 'connection_init', payload: { authorization: token } });
  await raw.closes(4429);
});
await check('subscribe before connection_init is 4401', async () => {
  const raw = await Raw.open();
  raw.subscribe('1', VIEWER);
  await raw.closes(4401);
});
await check('no connection_init is 4408', async () => {
  const raw = await Raw.open();
  const started = Date.now();
  await raw.closes(4408, INIT_WAIT_MS + REPLY_WAIT_MS);
  assert(Date.now() - started > INIT_WAIT_MS * 0.8, 'too early');
});
await check('pings do not put the wait for connection_init off', async () => {
  const raw = await Raw.open();
  const timer = setInterval(() => raw.send({ type: 'ping' }), INIT_WAIT_MS / 10);
  raw.closed.then(() => clearInterval(timer));
  await raw.closes(4408, INIT_WAIT_MS + REPLY_WAIT_MS);
  clearInterval(timer);
});
await check('complete before connection_init is ignored', async () => {
  const raw = await Raw.open();
  raw.send({ type: 'complete', id: '1' });
  raw.send({ type: 'connection_init', payload: { authorization: token } });
  equal((await raw.next()).type, 'connection_ack', 'type');
  await raw.end();
});

// ---- messages that are none

const subscribe = (payload, id = '1') => JSON.stringify({ type: 'subscribe', id, payload });
for (const [name, message] of [
  ['no JSON', 'hello'],
  ['an empty text', ''],
  ['a list', '[]'],
  ['a list that looks like a message', '["ping"]'],
  ['null', 'null'],
  ['no type', '{}'],
  ['a type that is no text', '{"type":1}'],
  ['an unknown type', '{"type":"hello"}'],
  ['an unknown type, very long', JSON.stringify({ type: 'é'.repeat(5_000) })],
  ['a type of the legacy protocol: start', '{"type":"start","id":"1","payload":{"query":"{__typename}"}}'],
  ['a type of the legacy protocol: stop', '{"type":"stop","id":"1"}'],
  ['a type of the legacy protocol: connection_terminate', '{"type":"connection_terminate"}'],
  ['a type of the server: next', '{"type":"next","id":"1","payload":{}}'],
  ['a type of the server: connection_ack', '{"type":"connection_ack"}'],
  ['subscribe without an id', '{"type":"subscribe","payload":{"query":"{__typename}"}}'],
  ['subscribe with an empty id', subscribe({ query: VIEWER }, '')],
  ['subscribe with a number as its id', subscribe({ query: VIEWER }, 1)],
  ['subscribe without a payload', '{"type":"subscribe","id":"1"}'],
  ['subscribe with a text as its payload', subscribe('{ __typename }')],
  ['subscribe with a list as its payload', subscribe([VIEWER])],
  ['subscribe without a query', subscribe({})],
  ['subscribe with a query that is no text', subscribe({ query: 1 })],
  ['subscribe with variables that are a list', subscribe({ query: VIEWER, variables: [] })],
  ['subscribe with variables that are text', subscribe({ query: VIEWER, variables: '{}' })],
  ['subscribe with an operationName that is no text', subscribe({ query: VIEWER, operationName: 1 })],
  ['subscribe with extensions that are text', subscribe({ query: VIEWER, extensions: 'x' })],
  ['complete without an id', '{"type":"complete"}'],
  ['complete with an empty id', '{"type":"complete","id":""}'],
  ['ping with a payload that is text', '{"type":"ping","payload":"x"}'],
  ['pong with a payload that is a list', '{"type":"pong","payload":[]}'],
]) {
  await check(`${name} is 4400`, async () => {
    const raw = await Raw.ready();
    raw.send(message);
    const reason = await raw.closes(4400);
    assert(Buffer.byteLength(reason) <= 123, 'a reason too long');
  });
}
for (const payload of ['x', 1, [], true]) {
  await check(`connection_init with ${JSON.stringify(payload)} as its payload is 4400`, async () => {
    const raw = await Raw.open();
    raw.send({ type: 'connection_init', payload });
    await raw.closes(4400);
  });
}
await check('a binary message is 4400', async () => {
  const raw = await Raw.ready();
  raw.socket.send(Buffer.from('{"type":"ping"}'), { binary: true });
  await raw.closes(4400);
});
await check('a message of two megabytes is 1009', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'ping', payload: { x: 'x'.repeat(2_000_000) } });
  await raw.closes(1009);
});

// ---- pings

await check('a ping is answered, before and after the beginning', async () => {
  const raw = await Raw.open();
  raw.send({ type: 'ping' });
  equal(await raw.next(), { type: 'pong' });
  raw.send({ type: 'connection_init', payload: { authorization: token } });
  equal((await raw.next()).type, 'connection_ack', 'type');
  raw.send({ type: 'ping', payload: null });
  equal(await raw.next(), { type: 'pong' });
  await raw.end();
});
await check('a pong brings the payload of its ping back', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'ping', payload: { a: 1 } });
  equal(await raw.next(), { type: 'pong', payload: { a: 1 } });
  await raw.end();
});
await check('a pong that nobody asked for is ignored', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'pong' });
  raw.send({ type: 'pong', payload: { a: 1 } });
  equal(await raw.quiet(), []);
  await raw.end();
});
await check('a ping of the WebSocket protocol is answered', async () => {
  const raw = await Raw.ready();
  const pong = new Promise((resolve) => raw.socket.on('pong', resolve));
  raw.socket.ping('x');
  equal((await Promise.race([pong, sleep(REPLY_WAIT_MS)]))?.toString(), 'x', 'pong');
  await raw.end();
});

// ---- operations

await check('a query', async () => {
  const raw = await Raw.ready();
  assert((await execute(raw, '1', VIEWER)).data.viewer.userId, 'no user');
  await raw.end();
});
await check('a query with variables and an operation name', async () => {
  const raw = await Raw.ready();
  const query = 'query A { __typename } query B($name: String!) { __type(name: $name) { name } }';
  const payload = await execute(raw, '1', query, { operationName: 'B', variables: { name: 'Query' } });
  equal(payload, { data: { __type: { name: 'Query' } } });
  await raw.end();
});
await check('a mutation', async () => {
  const raw = await Raw.ready();
  const payload = await execute(raw, '1', 'mutation { startExecution(input: {name: "x"}) { execution { id } } }');
  assert(payload.data.startExecution.execution.id, 'no id');
  await raw.end();
});
await check('an id is free again after complete', async () => {
  const raw = await Raw.ready();
  for (let i = 0; i < 3; i += 1) await execute(raw, 'same', '{ __typename }');
  await raw.end();
});
for (const [name, query, more] of [
  ['a syntax error', '{'],
  ['an unknown field', '{ thereIsNoSuchField }'],
  ['a missing variable', 'query($a: String!) { __type(name: $a) { name } }'],
  ['a variable of another type', 'query($a: String!) { __type(name: $a) { name } }', { variables: { a: 1 } }],
  ['an unknown operation', 'query A { __typename }', { operationName: 'B' }],
  ['a subscription with an unknown field', 'subscription { thereIsNoSuchField }'],
  ['a subscription with two fields', 'subscription { a: executionsChanged { kind } b: executionsChanged { kind } }'],
  ['a document that expands too far', `{ ${Array.from({ length: 40 }, (_, i) => `a${i}: __typename`).join(' ')} }`],
]) {
  await check(`${name} is an error of its operation`, async () => {
    const raw = await Raw.ready();
    raw.subscribe('1', query, more);
    const message = await raw.next();
    equal(message.type, 'error', 'type');
    equal(message.id, '1', 'id');
    assert(Array.isArray(message.payload) && message.payload[0].message, 'no errors');
    assert(message.payload[0].extensions.code && message.payload[0].extensions.requestId, 'no code');
    equal(await raw.quiet(), [], 'messages after error');
    await execute(raw, '1', '{ __typename }');
    await raw.end();
  });
}
await check('two operations at once do not mix', async () => {
  const raw = await Raw.ready();
  raw.subscribe('a', '{ a: __typename }');
  raw.subscribe('b', '{ b: __typename }');
  const seen = {};
  for (let i = 0; i < 4; i += 1) {
    const message = await raw.next();
    (seen[message.id] ??= []).push(message.type);
    if (message.type === 'next') equal(message.payload.data, { [message.id]: 'Query' });
  }
  equal(seen.a, ['next', 'complete'], 'a');
  equal(seen.b, ['next', 'complete'], 'b');
  await raw.end();
});
await check('an error of a field is a next', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', 'subscription { executionChanged(id: "absent") { id } }');
  const message = await raw.next();
  if (message.type === 'next') {
    assert(message.payload.errors[0].extensions.code, 'no code');
    equal((await raw.next()).type, 'complete', 'type');
  } else equal(message.type, 'error', 'type');
  await raw.end();
});

// ---- subscriptions

await makeChanges();
await check('a subscription brings one thing after another', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  for (let i = 0; i < 3; i += 1) {
    const message = await raw.of('1');
    equal(message.type, 'next', 'type');
    assert(message.payload.data.executionsChanged.kind, 'no kind');
  }
  await raw.end();
});
await check('a subscription through a fragment is one too', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', 'subscription { ...F } fragment F on Subscription { executionsChanged { kind } }');
  equal((await raw.of('1')).type, 'next', 'type');
  await raw.end();
});
await check('nothing follows a complete of the client', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  await raw.of('1');
  raw.send({ type: 'complete', id: '1' });
  raw.send({ type: 'ping' });
  while ((await raw.next()).type !== 'pong');
  equal(await raw.quiet(300), [], 'messages after complete');
  await raw.end();
});
await check('an id can be used again at once after complete', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  await raw.of('1');
  raw.send({ type: 'complete', id: '1' });
  raw.subscribe('1', '{ again: __typename }');
  let message = await raw.of('1');
  while (message.payload?.data?.executionsChanged) message = await raw.of('1');
  equal(message.payload, { data: { again: 'Query' } });
  equal((await raw.of('1')).type, 'complete', 'type');
  await raw.end();
});
await check('complete of an unknown id is ignored', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'complete', id: 'unknown' });
  await execute(raw, '1', '{ __typename }');
  await raw.end();
});
await check('an id that is in use is 4409', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  raw.subscribe('1', CHANGES);
  equal(await raw.closes(4409), 'Subscriber for 1 already exists', 'reason');
});
await check('a long id that is in use is 4409 too', async () => {
  const raw = await Raw.ready();
  const id = 'é'.repeat(200);
  raw.subscribe(id, CHANGES);
  raw.subscribe(id, CHANGES);
  await raw.closes(4409);
});
await check('a hundred operations run at once, and one more is an error of its own', async () => {
  const raw = await Raw.ready();
  for (let i = 0; i < 101; i += 1) raw.subscribe(`s${i}`, CHANGES);
  const message = await raw.of('s100');
  equal(message.type, 'error', 'type');
  equal(message.payload[0].extensions.limit.name, 'socket_operations_max', 'limit');
  raw.send({ type: 'complete', id: 's0' });
  await execute(raw, 'last', '{ __typename }');
  await raw.end();
});
await check('operations that end together with the socket harm nobody', async () => {
  for (let i = 0; i < 5; i += 1) {
    const raw = await Raw.ready();
    raw.subscribe('1', CHANGES);
    raw.subscribe('2', '{ __typename }');
    raw.socket.terminate();
  }
  await (await Raw.ready()).end();
});
await check('a client that closes sees its own code', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  await raw.of('1');
  raw.socket.close(4321, 'bye');
  await raw.closes(4321);
});

// ---- tokens

if (options.short) {
  await check('a socket whose token expires is closed with 4403', async () => {
    const raw = await Raw.ready({ authorization: `Bearer ${options.short}` });
    raw.subscribe('1', CHANGES);
    await raw.of('1');
    const lives = Date.parse(raw.ack.payload.expiresAt) - Date.now();
    const reason = await raw.closes(4403, lives + REPLY_WAIT_MS);
    equal(reason, 'Forbidden: the token has expired', 'reason');
  });
  await check('and an expired token is refused with 4403', async () => {
    const raw = await Raw.open();
    raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${options.short}` } });
    await raw.closes(4403);
  });
}
await check('a token is renewed in place, and operations keep streaming', async () => {
  const raw = await Raw.ready();
  raw.subscribe('1', CHANGES);
  await raw.of('1');
  raw.send({ type: 'ping', payload: { authorization: `Bearer ${options.renewed ?? token}` } });
  let message = await raw.next();
  while (message.type !== 'pong') message = await raw.next();
  assert(Date.parse(message.payload.expiresAt) > Date.now(), 'no expiresAt');
  assert(!JSON.stringify(message).includes('authorization'), 'the token came back');
  equal((await raw.of('1')).type, 'next', 'type');
  await raw.end();
});
await check('a renewal with a token that is not valid is 4403', async () => {
  const raw = await Raw.ready();
  raw.send({ type: 'ping', payload: { authorization: 'Bearer nonsense' } });
  await raw.closes(4403);
});
if (options.other) {
  await check("a renewal with someone else's token is 4403", async () => {
    const raw = await Raw.ready();
    raw.send({ type: 'ping', payload: { authorization: `Bearer ${options.other}` } });
    await raw.closes(4403);
  });
}

// ---- the client that people use

const client = (more = {}) =>
  createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization: `Bearer ${token}` }, ...more });

await check('graphql-ws runs a query', async () => {
  const c = client();
  for await (const result of c.iterate({ query: VIEWER })) assert(result.data.viewer.userId, 'no user');
  await c.dispose();
});
await check('graphql-ws follows a subscription and leaves it', async () => {
  const c = client();
  let count = 0;
  for await (const result of c.iterate({ query: CHANGES })) {
    assert(result.data.executionsChanged.cursor, 'no cursor');
    count += 1;
    if (count === 3) break;
  }
  equal(count, 3, 'events');
  await c.dispose();
});
await check('graphql-ws is told of errors', async () => {
  const c = client();
  let failure;
  try {
    for await (const _ of c.iterate({ query: '{ thereIsNoSuchField }' }));
  } catch (error) {
    failure = error;
  }
  assert(Array.isArray(failure), `not a list of errors: ${failure}`);
  await c.dispose();
});
await check('graphql-ws is told when it is refused, and may try again', async () => {
  let attempts = 0;
  const c = client({
    retryAttempts: 1,
    retryWait: async () => {},
    connectionParams: () => {
      attempts += 1;
      return { authorization: attempts === 1 ? 'nonsense' : token };
    },
  });
  for await (const result of c.iterate({ query: VIEWER })) assert(result.data.viewer.userId, 'no user');
  equal(attempts, 2, 'attempts');
  await c.dispose();
});
await check('graphql-ws keeps a connection alive with pings', async () => {
  let pongs = 0;
  const c = client({ keepAlive: 50, lazy: false, on: { pong: () => (pongs += 1) } });
  await sleep(500);
  assert(pongs >= 3, `${pongs} pongs`);
  await c.dispose();
});

clearInterval(changes);
report.end();
