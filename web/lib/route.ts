import { useEffect, useState } from 'preact/hooks';

/** Where one is: `#/runs/ID/gates?x=y` is the segments `runs`, ID and `gates`, and a query. */
export interface Route {
  segments: string[];
  query: URLSearchParams;
}

/** What every page is given: the address behind the name of the page, and the query. */
export type PageProps = Route;

function readRoute(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  const segments = path
    .split('/')
    .filter((segment) => segment !== '')
    .map(decoded);
  return { segments, query: new URLSearchParams(query) };
}

/** An address that somebody cut off in the middle is still an address. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The address of a page, a run or a tab of it: `href('runs', id, 'gates', phase)`. */
export const href = (...segments: readonly (string | number)[]): string =>
  `#/${segments.map((segment) => encodeURIComponent(segment)).join('/')}`;

export function useRoute(): Route {
  const [route, setRoute] = useState(readRoute);
  useEffect(() => {
    const follow = (): void => setRoute(readRoute());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return route;
}

/** Writes the query of the address without a step in the history, so that what is filtered can be shared. */
export function setQuery(values: Readonly<Record<string, string>>): void {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ''));
  const path = location.hash.split('?', 1)[0] ?? '';
  const text = query.toString();
  history.replaceState(null, '', `${path === '' ? '#/' : path}${text === '' ? '' : `?${text}`}`);
}
