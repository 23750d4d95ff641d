const histories = new Set(['graphiql:queries', 'graphiql:favorites']);

const dropHeaders = (name, value) => (name === 'headers' ? undefined : value);

/** The browser's local storage, except that the history is kept without request headers: these may hold a token, and
 * GraphiQL's history plugin stores them whatever `shouldPersistHeaders` says. */
export const storageWithoutHeaders = {
  get length() {
    return localStorage.length;
  },
  getItem: key => localStorage.getItem(key),
  setItem: (key, value) =>
    localStorage.setItem(key, histories.has(key) ? JSON.stringify(JSON.parse(value, dropHeaders)) : value),
  removeItem: key => localStorage.removeItem(key),
  clear() {
    for (const key of Object.keys(localStorage)) if (key.startsWith('graphiql:')) localStorage.removeItem(key);
  },
};
