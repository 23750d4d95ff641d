import { useEffect, useRef, useState } from 'react';

const KEY = 'runledger.token';
const WHO = '{ viewer { userId tenantId role expiresAt } }';

const initialToken = takeTokenFromAddress() ?? sessionStorage.getItem(KEY);

/** Who is signed in. The token lives in the tab's session storage and nowhere else: it goes when the tab is closed.
 *
 * `state` is `starting` (a token that was there from the beginning is being tried), `checking`, `signed-in`,
 * `signed-out` or `failed`. A token is used only once the server has said whose it is. */
export function useSession(transport) {
  const [session, setSession] = useState({ state: initialToken ? 'starting' : 'signed-out', token: null });
  const attempt = useRef(0);

  /** Says whether it worked. */
  async function signIn(text) {
    const token = text.trim().replace(/^bearer\s+/i, '');
    if (!token) return false;
    const mine = ++attempt.current;
    setSession(before => (before.state === 'starting' ? before : { ...before, state: 'checking' }));
    const result = await viewerOf(transport, token).then(
      viewer => ({ state: 'signed-in', token, viewer }),
      problem => ({ state: 'failed', token: null, problem: problem.message }),
    );
    if (mine !== attempt.current) return false; // overtaken by a later sign-in or sign-out
    settle(result);
    return result.state === 'signed-in';
  }

  function signOut() {
    attempt.current++;
    settle({ state: 'signed-out', token: null });
  }

  function settle(result) {
    transport.setToken(result.token);
    if (result.token) sessionStorage.setItem(KEY, result.token);
    else sessionStorage.removeItem(KEY);
    setSession(result);
  }

  useEffect(() => {
    const signInFromAddress = () => signIn(takeTokenFromAddress() ?? '');
    signIn(initialToken ?? '');
    addEventListener('hashchange', signInFromAddress);
    return () => removeEventListener('hashchange', signInFromAddress);
  }, []);

  return { ...session, signIn, signOut };
}

async function viewerOf(transport, token) {
  const { data, errors } = await transport.post({ query: WHO }, { authorization: `Bearer ${token}` });
  if (errors?.length) throw new Error(errors[0].message);
  if (!data?.viewer) throw new Error('the server did not say who this token belongs to');
  return data.viewer;
}

/** Reads `#token=…` and takes it out of the address bar, so that it is neither copied nor kept in the history. */
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token !== null) history.replaceState(history.state, '', location.pathname + location.search);
  return token;
}
