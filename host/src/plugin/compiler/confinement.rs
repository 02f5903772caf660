//! What the compiling process gives up before it reads a component: a component
//! that took over the compiler would find no file, no network, no other process,
//! no descriptor of the host's and no secret.

use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, nice, set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Standard input, output and error.
const KEPT: i32 = 3;
/// Descriptors that are closed where the system does not list those that are open.
const LIKELY: i32 = 1_024;

/// What compiling asks of the system: memory, its three descriptors, its end.
/// Everything else fails with `EPERM`.
const CALLS: [i64; 37] = [
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Closes what the host left open in this process: its client library's
/// connections are not closed by an `exec`.
pub fn close_inherited() {
    let listed = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        names.filter(|fd| *fd >= KEPT).collect::<Vec<i32>>()
    });
    for fd in listed.unwrap_or_else(|_| (KEPT..LIKELY).collect()) {
        // The listing's own is closed already.
        let _ = nix::unistd::close(fd);
    }
}

/// Bounds this process and keeps from it what compiling does not take; what this
/// kernel cannot keep from it.
///
/// # Errors
/// When a bound cannot be set.
pub fn confine(memory: u64, cpu_seconds: u64, niceness: i32) -> io::Result<Vec<&'static str>> {
    // Where the host ends, there is nobody to compile for.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Neither is granted everywhere, and it compiles without.
    let _ = nice(niceness);
    // Where memory ends, the kernel is to end this process and not the host.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut gaps = Vec::new();
    if !no_files().unwrap_or(false) {
        gaps.push("landlock");
    }
    // Code comes out of memory, so there is no more of it.
    for (resource, bound) in [
        (Resource::As, memory),
        (Resource::Cpu, cpu_seconds),
        (Resource::Core, 0),
        (Resource::Fsize, memory),
        (Resource::Nproc, 0),
        (Resource::Nofile, KEPT as u64),
    ] {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    if !few_calls() {
        gaps.push("seccomp");
    }
    Ok(gaps)
}

/// No file can be opened, no connection made and no process signalled. Whether
/// the kernel knows enough of landlock for the first.
fn no_files() -> Result<bool, landlock::RulesetError> {
    let newest = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Whether the kernel takes the filter of [`CALLS`]. It takes one only from a process
/// that no `exec` gives more rights (`no_new_privs`), which both this and landlock set.
fn few_calls() -> bool {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return false };
    let calls = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(calls, refused, SeccompAction::Allow, arch).and_then(BpfProgram::try_from);
    filter.is_ok_and(|filter| seccompiler::apply_filter(&filter).is_ok())
}
