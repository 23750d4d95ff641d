import { useState } from 'react';

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** The bar above GraphiQL: who is signed in, and a place for another token. */
export function SignInBar({ session }) {
  const [text, setText] = useState('');
  const busy = session.state === 'starting' || session.state === 'checking';

  async function submit(event) {
    event.preventDefault();
    if (await session.signIn(text)) setText('');
  }

  return (
    <header className="graphiql-container sign-in-bar">
      <h1>Runledger</h1>
      <p id="status" role="status" data-state={session.state}><Status session={session} /></p>
      <form onSubmit={submit}>
        <label htmlFor="token">Token</label>
        <input
          id="token" type="password" value={text} onChange={event => setText(event.target.value)}
          autoComplete="off" spellCheck="false" placeholder="eyJ…"
          aria-invalid={session.state === 'failed'} aria-describedby="status"
        />
        <button id="sign-in" type="submit" disabled={busy || !text.trim()}>Sign in</button>
        {session.token && <button id="sign-out" type="button" onClick={session.signOut}>Sign out</button>}
      </form>
    </header>
  );
}

function Status({ session: { state, viewer, problem } }) {
  if (state === 'signed-in') return <Viewer {...viewer} />;
  if (state === 'failed') return <span title={problem}>Sign-in failed: {problem}</span>;
  return state === 'signed-out' ? 'Not signed in' : 'Signing in …';
}

function Viewer({ userId, tenantId, role, expiresAt }) {
  return (
    <span title={expiresAt ? `The token expires ${time.format(new Date(expiresAt))}` : undefined}>
      <strong>{userId}</strong> in <strong>{tenantId}</strong> <small>{role}</small>
    </span>
  );
}
