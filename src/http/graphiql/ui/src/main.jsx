import './workers.js';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { useMemo } from 'react';
import { createRoot } from 'react-dom/client';
import { defaultTabs } from './operations.js';
import { useSession } from './session.js';
import { SignInBar } from './sign-in-bar.jsx';
import { storageWithoutHeaders } from './storage.js';
import { createTransport } from './transport.js';

// Relative to the page, so that the server can live under a path of its own behind a proxy.
const transport = createTransport(new URL('graphql', location.href));
const plugins = [HISTORY_PLUGIN, explorerPlugin()];

function App() {
  const session = useSession(transport);
  // GraphiQL reads the schema anew when it is given another function, and what the schema shows may depend on the role.
  const fetcher = useMemo(() => (...args) => transport.run(...args), [session.token]);
  return (
    <>
      <SignInBar session={session} />
      <main>
        {session.state !== 'starting' && (
          <GraphiQL
            defaultTabs={defaultTabs}
            fetcher={fetcher}
            inputValueDeprecation
            plugins={plugins}
            schemaDescription
            shouldPersistHeaders={false}
            storage={storageWithoutHeaders}
          >
            <GraphiQL.Logo> </GraphiQL.Logo>
          </GraphiQL>
        )}
      </main>
    </>
  );
}

createRoot(document.getElementById('root')).render(<App />);
