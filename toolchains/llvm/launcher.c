// Runs a program of the package tree with the dynamic linker and the libraries of that tree,
// whatever C library the machine has. Debian's clang names the machine's
// /lib64/ld-linux-x86-64.so.2 as its interpreter, and a script would need the machine's shell; this
// needs only the kernel: static, no C library, no environment, no absolute path.
//
// Called as DIR/NAME (relative to the working directory, as Bazel does) it executes
// DIR/TREE/usr/lib/llvm-16/bin/NAME; TREE is given at compile time and ends in a slash. argv[0]
// stays as it was, so that clang finds lld beside itself, through another launcher.
//
// x86-64 Linux. Exit code 127 with one line on standard error if it cannot execute.

typedef unsigned long size_t;

enum {
  kWrite = 1,
  kExecve = 59,
  kExit = 60,
  kStandardError = 2,
  kMaxPath = 4096,
  kMaxArgs = 65536
};

static long Syscall(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static size_t Length(const char* s) {
  size_t n = 0;
  while (s[n]) ++n;
  return n;
}

__attribute__((noreturn)) static void Die(const char* what, const char* which) {
  const char* parts[] = {"llvm launcher: ", what, which, "\n"};
  for (int i = 0; i < 4; ++i)
    Syscall(kWrite, kStandardError, (long)parts[i], (long)Length(parts[i]));
  Syscall(kExit, 127, 0, 0);
  __builtin_unreachable();
}

// Appends `s` to the text of length `*n` in `buffer`, which stays terminated.
static void Append(char* buffer, size_t* n, size_t size, const char* s, size_t length) {
  if (*n + length + 1 > size) Die("path too long: ", s);
  for (size_t i = 0; i < length; ++i) buffer[(*n)++] = s[i];
  buffer[*n] = 0;
}

static char linker[kMaxPath], program[kMaxPath], libraries[3 * kMaxPath];
static const char* args[kMaxArgs];

__attribute__((noreturn, used)) static void Main(long* stack) {
  long argc = stack[0];
  const char** argv = (const char**)(stack + 1);
  const char** environment = argv + argc + 1;
  if (argc < 1) Die("no argv[0]", "");
  size_t directory = Length(argv[0]);
  while (directory > 0 && argv[0][directory - 1] != '/') --directory;
  if (directory == 0) Die("expected a path with a directory, found ", argv[0]);

  static const char* const kLibraries[] = {
      TREE "usr/lib/llvm-16/lib", TREE "usr/lib/x86_64-linux-gnu", TREE "lib/x86_64-linux-gnu"};
  size_t n = 0;
  for (int i = 0; i < 3; ++i) {
    if (i) Append(libraries, &n, sizeof libraries, ":", 1);
    Append(libraries, &n, sizeof libraries, argv[0], directory);
    Append(libraries, &n, sizeof libraries, kLibraries[i], Length(kLibraries[i]));
  }
  static const char kLinker[] = TREE "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
  n = 0;
  Append(linker, &n, sizeof linker, argv[0], directory);
  Append(linker, &n, sizeof linker, kLinker, sizeof kLinker - 1);
  static const char kProgram[] = TREE "usr/lib/llvm-16/bin/";
  n = 0;
  Append(program, &n, sizeof program, argv[0], directory);
  Append(program, &n, sizeof program, kProgram, sizeof kProgram - 1);
  Append(program, &n, sizeof program, argv[0] + directory, Length(argv[0] + directory));

  // --inhibit-cache: the machine's /etc/ld.so.cache is not read.
  const char* first[] = {linker,           "--inhibit-cache", "--argv0", argv[0],
                         "--library-path", libraries,         program};
  enum { kFirst = sizeof first / sizeof first[0] };
  if (argc + kFirst > kMaxArgs) Die("too many arguments for ", argv[0]);
  for (int i = 0; i < kFirst; ++i) args[i] = first[i];
  for (long i = 1; i < argc; ++i) args[kFirst + i - 1] = argv[i];
  Syscall(kExecve, (long)linker, (long)args, (long)environment);
  Die("cannot execute ", linker);
}

// The kernel enters here with argc, argv and the environment on the stack.
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call Main\n");
