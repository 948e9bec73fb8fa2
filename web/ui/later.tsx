import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { messageOf } from '../lib/api.ts';
import { Banner, Loading } from './basic.tsx';

/** A view whose code is fetched when it is first shown, such as one with a large library. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | undefined;
  return function Later(props: P): JSX.Element {
    const [, setLoaded] = useState(false);
    const [fault, setFault] = useState<string>();
    useEffect(() => {
      if (loaded !== undefined) return;
      const show = async (): Promise<void> => {
        loaded = await load();
        setLoaded(true);
      };
      show().catch((err: unknown) => setFault(messageOf(err)));
    }, []);
    if (fault !== undefined) return <Banner kind="bad">This part of the page cannot be loaded: {fault}</Banner>;
    if (loaded === undefined) return <Loading what="this part of the page" />;
    const View = loaded;
    return <View {...props} />;
  };
}
