/** `.git`, and what file systems of Windows take for it; git refuses these wherever they are, also before a backslash. */
const GIT_FOLDER = /^(\.git|git~1)[. ]*(:|$)/i;
/** `.gitmodules`, and the short names that it may have there. As a file it is only text; as a link git refuses it. */
const SUBMODULES = /^(\.gitmodules|gitmod~[1-4]|gi[7eba]{0,4}~\d+)[. ]*(:|$)/i;

/** Whether git refuses to keep a file, a folder or a link because of its name (one part of a path). */
export const isRefusedByGit = (name: string, isLink = false): boolean =>
  name.split('\\').some((part) => GIT_FOLDER.test(part) || (isLink && SUBMODULES.test(part)));
