import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';

const TIMEOUT_MS = 30_000;
const RECONNECT_AFTER_MS = 250; // doubled with each further try
const RECONNECTS_MAX = 6;
const FORBIDDEN = 4403; // the token was refused or has expired: trying again with the same one is no use

/** Speaks GraphQL with the server: queries and mutations over HTTP, subscriptions over a WebSocket at the same path. */
export function createTransport(endpoint) {
  const socketUrl = new URL(endpoint);
  socketUrl.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';
  const sockets = new Set();
  let token = null;

  /** Running subscriptions reconnect, so that none goes on under the identity it was started with. */
  function setToken(next) {
    if (next === token) return;
    token = next;
    for (const socket of sockets) socket.terminate();
  }

  /** The token, unless the Headers editor names another one. */
  function headersWith(own) {
    const headers = new Headers(own);
    if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
    return headers;
  }

  async function post(params, own) {
    const headers = headersWith(own);
    headers.set('content-type', 'application/json');
    headers.set('accept', 'application/graphql-response+json, application/json;q=0.9');
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(params), signal });
    const body = await response.text();
    try {
      return JSON.parse(body);
    } catch {
      throw new Error(`The server answered ${response.status} ${response.statusText} ${body.slice(0, 500)}`.trim());
    }
  }

  function subscribe(params, own) {
    return {
      subscribe(observer) {
        const socket = createClient({
          url: socketUrl.href,
          connectionParams: () => Object.fromEntries(headersWith(own)),
          retryAttempts: RECONNECTS_MAX,
          retryWait: tries => new Promise(done => setTimeout(done, RECONNECT_AFTER_MS * 2 ** tries)),
          shouldRetry: problem => problem.code !== FORBIDDEN,
        });
        sockets.add(socket);
        const over = tell => {
          sockets.delete(socket);
          tell();
        };
        const unsubscribe = socket.subscribe(params, {
          next: result => observer.next(result),
          error: problem => over(() => observer.error(readable(problem))),
          complete: () => over(() => observer.complete()),
        });
        return { unsubscribe };
      },
    };
  }

  /** Has the shape that GraphiQL wants of its `fetcher`. */
  async function run(params, options) {
    const send = isSubscription(params) ? subscribe : post;
    return send(params, options?.headers);
  }

  return { post, run, setToken };
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false; // the server says best what is wrong with it
  }
}

function readable(problem) {
  if (Array.isArray(problem) || problem instanceof Error) return problem;
  if (!problem?.code) return new Error('The server could not be reached');
  return new Error(`The server closed the connection: ${problem.code} ${problem.reason ?? ''}`.trim());
}
