/** As osv.dev names them. */
export type Ecosystem = 'npm' | 'PyPI';

/** A package as the project's files resolve it to one version. */
export interface LockedPackage {
  ecosystem: Ecosystem;
  /** What tells it from other copies, e.g. `node_modules/a/node_modules/b`. */
  path: string;
  name: string;
  version: string;
  /** As CycloneDX writes them; of all its files, where it has several. */
  hashes: { alg: string; content: string }[];
  /** As the lock file says, else as the installed package says. */
  license: string | undefined;
  /** The file that resolves it. */
  file: string;
  isDev: boolean;
  /** Paths of the packages that it asks for; undefined where nothing tells them. */
  needs: string[] | undefined;
}

export interface ProjectPackages {
  name: string;
  version: string;
  /** How many packages the manifests ask for. */
  declared: number;
  packages: LockedPackage[];
  /** Paths of the packages that the project itself asks for. */
  needs: string[];
  /** The manifests and lock files that were read. */
  files: string[];
}

export type PackagesReading = { project: ProjectPackages } | { notEvaluable: string };
