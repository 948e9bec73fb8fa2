/**
 * A filter of system calls (seccomp, as classic BPF), for what namespaces do not confine: kernel interfaces that a build
 * or a test never needs, kinds of sockets that no network namespace holds (vsock reaches the host of a virtual machine),
 * keyrings that belong to a user and not to a sandbox, and the ioctls that type into a terminal.
 */

interface Machine {
  audit: number;
  socket: number;
  ioctl: number;
  /** Which of the numbers of `REFUSED` are its own. */
  column: 0 | 1;
}

const MACHINES: Readonly<Record<string, Machine>> = {
  x64: { audit: 0xc000003e, socket: 41, ioctl: 16, column: 0 },
  arm64: { audit: 0xc00000b7, socket: 198, ioctl: 29, column: 1 },
};

/** Refused with EPERM, as the kernel refuses most of them already. The numbers on x64 and on arm64. */
const REFUSED: Readonly<Record<string, readonly [number, number | undefined]>> = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  ioperm: [173, undefined],
  iopl: [172, undefined],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  pivot_root: [155, 41],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  uselib: [134, undefined],
  userfaultfd: [323, 282],
};
/** io_uring opens sockets beside every filter; it reads as absent, and programs do without. */
const ABSENT = [425, 426, 427];

const ALLOW = 0x7fff0000;
const errno = (number: number): number => 0x00050000 | number;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [errno(1), errno(38), errno(97)];
/** Where things stand in what the filter is given: the call, the machine, and the low halves of two arguments. */
const AT = { call: 0, machine: 4, first: 16, second: 24 } as const;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: all of them lie in the network namespace. */
const SOCKETS = [1, 2, 10, 16];
/** TIOCSTI and TIOCLINUX. */
const TYPING = [0x5412, 0x541c];
const X32 = 0x40000000;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, value: number];
const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const answer = (value: number): Instruction => [0x06, 0, 0, value];
/** Goes on with the next instruction when it is equal, and else leaves out so many. */
const unless = (value: number, leaveOut: number): Instruction => [0x15, 0, leaveOut, value];
const isAtLeast = (value: number, leaveOut: number): Instruction => [0x35, 0, leaveOut, value];

/** The filter for a machine as bubblewrap reads it; undefined for one whose calls are not known here. */
export function syscallFilter(machine: string): Buffer | undefined {
  const known = MACHINES[machine];
  if (known === undefined) return undefined;
  const refused = Object.values(REFUSED).flatMap((numbers) => numbers[known.column] ?? []);
  const each = (values: readonly number[], reply: number): Instruction[] =>
    values.flatMap((value) => [unless(value, 1), answer(reply)]);
  const ofSocket = [load(AT.first), ...each(SOCKETS, ALLOW), answer(EAFNOSUPPORT)];
  const ofIoctl = [load(AT.second), ...each(TYPING, EPERM), answer(ALLOW)];
  const program: Instruction[] = [
    load(AT.machine),
    // Calls in the manner of another machine have other numbers.
    [0x15, 1, 0, known.audit],
    answer(ENOSYS),
    load(AT.call),
    isAtLeast(X32, 1),
    answer(ENOSYS),
    ...each(refused, EPERM),
    ...each(ABSENT, ENOSYS),
    unless(known.socket, ofSocket.length),
    ...ofSocket,
    unless(known.ioctl, ofIoctl.length),
    ...ofIoctl,
    answer(ALLOW),
  ];
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, whenTrue, whenFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}
