/** The programs and files that make up the sandbox, as found on this machine. */
export interface BubblewrapTools {
  bwrap: string;
  version: string;
  /** Folders with libraries that bubblewrap needs and the system lacks. */
  libraries: readonly string[];
  setpriv: string;
  prlimit: string;
  /** Makes commands the first that the kernel ends when the machine has no memory left. */
  choom: string | undefined;
  /** Folder with the few /etc files that commands see. */
  etc: string;
  /** The file with the filter of system calls; none for a machine whose calls are not known. */
  filter: string | undefined;
}

/**
 * How privileges are dropped.
 * `user`: the fleet is an ordinary user; one bubblewrap with a user namespace.
 * `root`: an outer bubblewrap makes the mounts, an ordinary user is taken on, and an inner one adds the namespaces, so
 * that the process limit counts for this command alone and no further user namespace can be made.
 * `root-without-user-namespaces`: where the kernel denies those to ordinary users.
 */
export type Shape = 'user' | 'root' | 'root-without-user-namespaces';

export interface DirectSandboxOptions {
  kind: 'container' | 'off';
  description: string;
  prlimit: string;
  setpriv: string;
  /** The user to run commands as; undefined when the fleet is an ordinary user already. */
  uid: number | undefined;
}

/** What a sandbox is made of: with it another process of this machine opens the same one, which is proven already. */
export type SandboxSettings = { bwrap: { tools: BubblewrapTools; shape: Shape } } | { direct: DirectSandboxOptions };
