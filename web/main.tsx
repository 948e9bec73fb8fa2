import { type JSX, render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useRoute } from './lib/route.ts';
import { PAGES } from './pages.ts';
import { NoticePlace } from './ui/notice.tsx';
import { Empty } from './ui/basic.tsx';

function App(): JSX.Element {
  const { segments, query } = useRoute();
  const [path = PAGES[0]?.path, ...rest] = segments;
  const page = PAGES.find((each) => each.path === path);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  // Whoever follows a link to another page starts at its top; a change of tab leaves the place where it is.
  useEffect(() => {
    if (!isFirst.current) {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    isFirst.current = false;
  }, [path, rest[0]]);
  const View = page?.view;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <header>
        <a class="brand" href="#/">
          <span class="logo" aria-hidden="true" />
          Maestro Fleet
        </a>
        <nav aria-label="Main">
          {PAGES.map((each) => (
            <a key={each.path} href={`#/${each.path}`} aria-current={each === page ? 'page' : undefined}>
              {each.name}
            </a>
          ))}
          <a href="/queues">Queues</a>
          <a href="/docs">API</a>
        </nav>
      </header>
      <main id="main" tabIndex={-1} ref={main}>
        {View === undefined ? (
          <Empty title="There is no such page.">
            <p>
              <a href="#/">To the runs</a>
            </p>
          </Empty>
        ) : (
          <View segments={rest} query={query} />
        )}
      </main>
      <NoticePlace />
    </>
  );
}

const place = document.getElementById('app');
if (place !== null) render(<App />, place);
