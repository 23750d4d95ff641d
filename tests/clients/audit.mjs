// GraphQL over HTTP: the official audits of graphql-http, and checks of what they leave out.
//
// node audit.mjs <http url> [token]

import http from 'node:http';
import { serverAudits } from 'graphql-http';
import { Report, assert, equal, oneOf } from './report.mjs';

const [url, token] = process.argv.slice(2);
if (!url) {
  console.error('usage: node audit.mjs <http url> [token]');
  process.exit(2);
}

const JSON_TYPE = 'application/json';
const GRAPHQL_TYPE = 'application/graphql-response+json';
const EXPECTED_AUDITS = 61;
const report = new Report();

// ---- the official suite

const audits = serverAudits({ url, fetchFn: fetch });
await report.check('the suite has all of its audits', () => equal(audits.length, EXPECTED_AUDITS));
for (const audit of audits) {
  const result = await audit.fn();
  if (result.status === 'ok') report.pass();
  else report.fail(`${audit.id} ${audit.name}`, result.reason);
}

// ---- what it leaves out

function post(params, { accept = GRAPHQL_TYPE, headers = {}, body } = {}) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': JSON_TYPE, accept, ...headers },
    body: body ?? JSON.stringify(params),
  });
}

function get(params, { accept = GRAPHQL_TYPE, headers = {}, method = 'GET' } = {}) {
  return fetch(`${url}?${new URLSearchParams(params)}`, { method, headers: { accept, ...headers } });
}

async function refused(response, status, code) {
  equal(response.status, status, 'status');
  const type = response.headers.get('content-type') ?? '';
  assert(type.startsWith(GRAPHQL_TYPE) || type.startsWith(JSON_TYPE), `content type ${type}`);
  const body = await response.json();
  assert(Array.isArray(body.errors) && body.errors.length > 0, 'no errors');
  assert(!('data' in body), 'data in a refused request');
  for (const error of body.errors) {
    equal(typeof error.message, 'string', 'type of message');
    equal(typeof error.extensions?.retryable, 'boolean', 'type of retryable');
    equal(error.extensions?.requestId, response.headers.get('x-request-id'), 'requestId');
    if (code) equal(error.extensions.code, code, 'code');
  }
  return body;
}

async function data(response) {
  equal(response.status, 200, 'status');
  const body = await response.json();
  assert(!body.errors, JSON.stringify(body.errors));
  return body.data;
}

// Sends exactly these bytes as the body, with exactly these headers.
function raw(method, headers, body, path = url) {
  return new Promise((resolve, reject) => {
    const request = http.request(path, { method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

const check = (name, run) => report.check(name, run);
const typename = '{ __typename }';

await check('X001 a mutation is not run by GET', async () => {
  const response = await get({ query: 'mutation { __typename }' });
  equal(response.headers.get('allow'), 'POST', 'Allow');
  await refused(response, 405);
});
await check('X002 a subscription is not run by GET', async () => {
  await refused(await get({ query: 'subscription { executionsChanged { kind } }' }), 405);
});
await check('X003 a mutation among queries is not run by GET when it is the one that is named', async () => {
  const query = 'query Q { __typename } mutation M { __typename }';
  await refused(await get({ query, operationName: 'M' }), 405);
  equal(await data(await get({ query, operationName: 'Q' })), { __typename: 'Query' });
});
await check('X004 GET knows operationName', async () => {
  const query = 'query A { a: __typename } query B { b: __typename }';
  equal(await data(await get({ query, operationName: 'B' })), { b: 'Query' });
  await refused(await get({ query }), 400);
  await refused(await get({ query, operationName: 'C' }), 400);
});
for (const [accept, expected] of [
  [`${GRAPHQL_TYPE};q=0.5, ${JSON_TYPE}`, JSON_TYPE],
  [`${JSON_TYPE};q=0.5, ${GRAPHQL_TYPE}`, GRAPHQL_TYPE],
  [`${GRAPHQL_TYPE}, ${JSON_TYPE};q=0.9`, GRAPHQL_TYPE],
  [`${JSON_TYPE};q=0, */*`, GRAPHQL_TYPE],
  ['text/html, application/*;q=0.2', JSON_TYPE],
  [`text/event-stream, ${GRAPHQL_TYPE}`, GRAPHQL_TYPE],
]) {
  await check(`X005 Accept: ${accept}`, async () => {
    const response = await post({ query: typename }, { accept });
    equal(response.status, 200, 'status');
    equal(response.headers.get('content-type'), `${expected}; charset=utf-8`, 'content type');
  });
}
await check('X006 an Accept that cannot be met is 406', async () => {
  await refused(await post({ query: typename }, { accept: 'application/xml' }), 406);
  await refused(await post({ query: typename }, { accept: `${JSON_TYPE};q=0` }), 406);
});
for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/graphql', 'application/jsonx']) {
  await check(`X009 a body of ${type} is 415`, async () => {
    await refused(await post({ query: typename }, { headers: { 'content-type': type } }), 415);
  });
}
await check('X010 another charset is 415', async () => {
  const headers = { 'content-type': 'application/json; charset=iso-8859-1' };
  await refused(await post({ query: typename }, { headers }), 415);
});
await check('X011 the charset may be quoted and in capitals', async () => {
  await data(await post({ query: typename }, { headers: { 'content-type': 'Application/JSON; charset="UTF-8"' } }));
});
await check('X012 a body that is not UTF-8 is 400', async () => {
  const body = Buffer.concat([Buffer.from('{"query":"{ __typename } # '), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  equal((await raw('POST', { 'content-type': JSON_TYPE }, body)).status, 400, 'status');
});
await check('X013 a list of requests is refused', async () => {
  await refused(await post([{ query: typename }]), 400);
  await refused(await post(['{ __typename }']), 400);
});
await check('X014 a body that is not JSON is refused in the shape of GraphQL', async () => {
  await refused(await post(null, { body: 'not json' }), 400, 'BAD_INPUT');
});
for (const [name, params] of [
  ['X015 a syntax error', { query: '{' }],
  ['X016 an unknown field', { query: '{ thereIsNoSuchField }' }],
  ['X017 a missing variable', { query: 'query($a: String!) { __type(name: $a) { name } }' }],
  ['X018 a variable of another type', { query: 'query($a: String!) { __type(name: $a) { name } }', variables: { a: 1 } }],
  ['X019 an unknown operation', { query: 'query A { __typename }', operationName: 'B' }],
  ['X020 a subscription over HTTP', { query: 'subscription { executionsChanged { kind } }' }],
  ['X021 an empty document', { query: '' }],
]) {
  await check(`${name} is 400 without data as graphql-response+json`, async () => {
    await refused(await post(params), 400, 'BAD_INPUT');
  });
  await check(`${name} is 200 without data as application/json`, async () => {
    await refused(await post(params, { accept: JSON_TYPE }), 200, 'BAD_INPUT');
  });
}
await check('X022 a body of 20 MB is 413', async () => {
  const padding = ' '.repeat(20_000_000);
  let response;
  try {
    response = await raw('POST', { 'content-type': JSON_TYPE, 'content-length': 20_000_000 }, padding);
  } catch (error) {
    oneOf(error.code, ['EPIPE', 'ECONNRESET'], 'error');
    return;
  }
  equal(response.status, 413, 'status');
});
await check('X023 syntax errors say where', async () => {
  const body = await refused(await post({ query: '{ a( }' }), 400);
  assert(body.errors[0].locations?.[0]?.line === 1, 'no location');
});
await check('X024 the same parameter twice in a URL is 400', async () => {
  await refused(await fetch(`${url}?query=%7B__typename%7D&query=%7B__typename%7D`, { headers: { accept: GRAPHQL_TYPE } }), 400);
});
await check('X025 a URL without a query is 400', async () => {
  await refused(await get({}), 400);
  await refused(await get({ query: typename, variables: '[]' }), 400);
  await refused(await get({ query: typename, variables: 'x' }), 400);
  await refused(await get({ query: typename, extensions: '1' }), 400);
});
await check('X026 HEAD answers as GET, without a body', async () => {
  const response = await get({ query: typename }, { method: 'HEAD' });
  equal(response.status, 200, 'status');
  equal(await response.text(), '', 'body');
});
for (const method of ['PUT', 'DELETE', 'PATCH']) {
  await check(`X027 ${method} is 405 and says what would do`, async () => {
    const response = await fetch(url, { method, headers: { accept: GRAPHQL_TYPE } });
    const allow = response.headers.get('allow') ?? '';
    assert(allow.includes('GET') && allow.includes('POST'), `Allow: ${allow}`);
    await refused(response, 405);
  });
}
for (const authorization of ['Bearer nonsense', 'Bearer', 'Basic dXNlcjpwYXNz', 'nonsense']) {
  await check(`X028 Authorization: ${authorization} is 401`, async () => {
    const response = await post({ query: typename }, { headers: { authorization } });
    assert((response.headers.get('www-authenticate') ?? '').startsWith('Bearer'), 'no WWW-Authenticate');
    await refused(response, 401, 'UNAUTHENTICATED');
  });
}
await check('X029 without a token a query that needs none is answered', async () => {
  equal(await data(await post({ query: typename })), { __typename: 'Query' });
});
await check('X029 without a token a field that needs one says so', async () => {
  const body = await (await post({ query: '{ viewer { userId } }' })).json();
  equal(body.errors[0].extensions.code, 'UNAUTHENTICATED', 'code');
});
await check('X030 Vary names what the answer depends on', async () => {
  const vary = ((await post({ query: typename })).headers.get('vary') ?? '').toLowerCase();
  assert(vary.includes('accept') && vary.includes('authorization'), `Vary: ${vary}`);
});
await check('X031 every answer has a request id of the server', async () => {
  const response = await post({ query: typename }, { headers: { 'x-request-id': 'mine' } });
  assert(/^[0-9a-f-]{36}$/.test(response.headers.get('x-request-id') ?? ''), 'no id');
});
await check('X032 errors before data, fields in the order of the document', async () => {
  const text = await (await post({ query: '{ b: __typename a: __typename }' })).text();
  equal(text, '{"data":{"b":"Query","a":"Query"}}', 'body');
});
await check('X033 a multipart body without the preflight header is refused', async () => {
  const form = new FormData();
  form.set('operations', JSON.stringify({ query: typename }));
  form.set('map', '{}');
  const response = await fetch(url, { method: 'POST', headers: { accept: GRAPHQL_TYPE }, body: form });
  oneOf(response.status, [400, 415], 'status');
});
await check('X034 a body that is compressed is not taken for JSON', async () => {
  const response = await raw('POST', { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' }, 'x');
  oneOf(response.status, [400, 415], 'status');
});
await check('X035 a browser that opens the endpoint is not shown an error', async () => {
  const response = await fetch(url, { redirect: 'manual', headers: { accept: 'text/html,*/*;q=0.8' } });
  oneOf(response.status, [200, 302, 303, 307], 'status');
});

// ---- the guard

const depth = (levels) => `{ executions { nodes ${'{ logs { nodes '.repeat(levels)}{ id }${' } }'.repeat(levels)} } }`;
const limited = async (query, limit, params = {}) => {
  const started = performance.now();
  const body = await refused(await post({ query, ...params }), 400);
  assert(performance.now() - started < 1_000, 'it took a second');
  if (limit) equal(body.errors[0].extensions.limit?.name, limit, 'limit');
};
await check('X040 nested fragments that expand to 2^40 fields are refused at once', async () => {
  let query = '{ ...F0 }';
  for (let i = 0; i < 40; i += 1) query += ` fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`;
  query += ' fragment F40 on Query { __typename }';
  await limited(query);
});
await check('X041 a fragment cycle is refused at once', async () => {
  await limited('{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }');
});
await check('X042 aliases', async () => {
  const aliases = Array.from({ length: 31 }, (_, i) => `a${i}: __typename`).join(' ');
  await limited(`{ __schema { ${aliases} } }`, 'graphql_aliases_max');
});
await check('X043 fields at the root', async () => {
  const fields = Array.from({ length: 21 }, (_, i) => `a${i}: __typename`).join(' ');
  await limited(`{ ${fields} }`, 'graphql_root_fields_max');
});
await check('X044 depth', async () => limited(depth(10), 'graphql_depth_max'));
await check('X045 a document over 32 KiB', async () => {
  await limited(`{ __typename } # ${'x'.repeat(33_000)}`, 'graphql_document_bytes_max');
});
await check('X046 directives', async () => {
  await limited(`{ __typename ${'@include(if: true) '.repeat(51)} }`, 'graphql_directives_max');
});
await check('X047 circular introspection', async () => {
  await limited('{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }', 'graphql_introspection_depth_max');
});
await check('X048 an answer has at most 25 errors', async () => {
  const variables = Array.from({ length: 90 }, (_, i) => `$v${i}: Int`).join(' ');
  const body = await refused(await post({ query: `query(${variables}) { __typename }` }), 400);
  equal(body.errors.length, 25, 'number of errors');
});
await check('X049 a deeply nested value is refused, and the server lives', async () => {
  await limited(`{ __type(name: ${'['.repeat(15_000)}`);
  await limited(`{ __type(name: ${'['.repeat(500)}1${']'.repeat(500)}) { name } }`);
  await refused(await post(null, { body: `{"query":"{ __typename }","variables":{"a":${'['.repeat(50_000)}` }), 400);
  await data(await post({ query: typename }));
});
await check('X050 the introspection query of clients is answered', async () => {
  const { getIntrospectionQuery, buildClientSchema } = await import('graphql');
  const options = { specifiedByUrl: true, inputValueDeprecation: true, directiveIsRepeatable: true, oneOf: true };
  buildClientSchema(await data(await post({ query: getIntrospectionQuery(options) })));
});

// ---- with a token

if (token) {
  const headers = { authorization: `Bearer ${token}` };
  await check('T001 the viewer is who the token names', async () => {
    const answer = await data(await post({ query: '{ viewer { userId } }' }, { headers }));
    assert(answer.viewer.userId, 'no user');
    equal(await data(await get({ query: '{ viewer { userId } }' }, { headers })), answer, 'by GET');
  });
  await check('T002 the scheme is not case-sensitive', async () => {
    await data(await post({ query: '{ viewer { userId } }' }, { headers: { authorization: `bearer ${token}` } }));
  });
  await check('T003 a list', async () => {
    const answer = await data(await post({ query: '{ executions(first: 1) { nodes { id } } }' }, { headers }));
    assert(Array.isArray(answer.executions.nodes), 'no list');
  });
  const start = 'startExecution(input: {name: "x"}) { execution { id } }';
  await check('T004 a mutation', async () => {
    const answer = await data(await post({ query: `mutation { ${start} }` }, { headers }));
    assert(answer.startExecution.execution.id, 'no id');
  });
  await check('T005 a mutation that is repeated runs once', async () => {
    const query = `mutation { ${start} ${start} ${start.replace('id', 'name')} }`;
    const answer = await data(await post({ query }, { headers }));
    equal(Object.keys(answer.startExecution.execution), ['id', 'name'], 'fields');
  });
  await check('T006 a mutation that is repeated through fragments is refused', async () => {
    const query = `mutation { ...A ...B } fragment A on Mutation { ${start} } fragment B on Mutation { ${start} }`;
    await refused(await post({ query }, { headers }), 400, 'BAD_INPUT');
  });
  const withInput = 'mutation($input: StartExecutionInput!) { startExecution(input: $input) { execution { id } } }';
  for (const [name, variables, field] of [
    ['missing', {}, 'input'],
    ['null', { input: null }, 'input'],
    ['of another type', { input: 1 }, 'input'],
    ['with a field of another type', { input: { name: 1 } }, 'input.name'],
    ['with an unknown field', { input: { name: 'x', noSuchField: 1 } }, 'input'],
  ]) {
    await check(`T007 an input that is ${name} is refused before execution`, async () => {
      const body = await refused(await post({ query: withInput, variables }, { headers }), 400, 'BAD_INPUT');
      equal(body.errors[0].extensions.field, field, 'field');
    });
  }
  await check('T008 an input that fits is taken', async () => {
    await data(await post({ query: withInput, variables: { input: { name: 'x' } } }, { headers }));
  });
  await check('T009 a body of one megabyte is taken', async () => {
    const variables = { input: { name: 'x' }, padding: 'x'.repeat(1_000_000) };
    await data(await post({ query: withInput, variables }, { headers }));
  });
  await check('T010 a multipart body behind the preflight header is taken', async () => {
    const form = new FormData();
    form.set('operations', JSON.stringify({ query: '{ viewer { userId } }' }));
    form.set('map', '{}');
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: GRAPHQL_TYPE, 'graphql-require-preflight': '1', ...headers },
      body: form,
    });
    assert((await data(response)).viewer.userId, 'no user');
  });
  await check('T011 nothing that looks like a file is taken from a JSON body', async () => {
    for (const name of ['#__graphql_file__:0', '#__graphql_file__:x']) {
      await refused(await post({ query: `mutation { startExecution(input: {name: "${name}"}) { execution { id } } }` }, { headers }), 400);
    }
  });
}

report.end();
