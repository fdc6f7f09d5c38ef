//! The memory this process may use: the tightest limit of its cgroup and of those above it, or the machine's.
//!
//! Sources: cgroups(7), proc_pid_mountinfo(5), the kernel's cgroup-v2.rst (`memory.max`, `memory.high`) and
//! cgroup-v1/memory.rst (`memory.limit_in_bytes`).

use std::fs;
use std::path::{Path, PathBuf};

/// In bytes; `None` where nobody tells.
pub(super) fn limit() -> Option<u64> {
    limit_under(Path::new("/"))
}

/// The same for a root directory of one's own.
fn limit_under(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let hierarchies = mounts.lines().filter_map(Hierarchy::parse);
    let limits = hierarchies.flat_map(|hierarchy| hierarchy.limits(&groups, root));
    limits.chain(installed(&read("proc/meminfo"))).min()
}

/// What the machine has; in LXC, what lxcfs says it has.
fn installed(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A mounted hierarchy of cgroups that has to do with memory.
struct Hierarchy<'a> {
    /// The cgroup that is at the mount point: not the root in a container without a namespace of its own.
    root: &'a str,
    mount: &'a str,
    is_v2: bool,
}

impl<'a> Hierarchy<'a> {
    /// `36 35 0:31 /root /mount/point options … - type source super-options`
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_v2 = match kind.next()? {
            "cgroup2" => true,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => false,
            _ => return None,
        };
        let mut place = place.split(' ').skip(3);
        Some(Self { root: place.next()?, mount: place.next()?, is_v2 })
    }

    /// Every limit from our group up to the mount point.
    fn limits(&self, groups: &str, root: &Path) -> Vec<u64> {
        let mount = root.join(self.mount.trim_start_matches('/'));
        let own = groups.lines().find_map(|line| self.group(line));
        // A group outside of what is mounted here is shown as the mount point, if at all.
        let below = own.and_then(|group| Path::new(group).strip_prefix(self.root).ok());
        let below = below.filter(|below| !below.components().any(|part| part.as_os_str() == ".."));
        let group = mount.join(below.unwrap_or_else(|| Path::new("")));
        group.ancestors().take_while(|group| group.starts_with(&mount)).flat_map(|at| self.of(at)).collect()
    }

    /// `0::/path` for version 2, `4:memory:/path` for version 1.
    fn group<'b>(&self, line: &'b str) -> Option<&'b str> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_ours = if self.is_v2 {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|controller| controller == "memory")
        };
        is_ours.then_some(path)
    }

    fn of(&self, group: &Path) -> Vec<u64> {
        // Beyond `memory.high` nobody is killed, but everything waits.
        let names: &[_] =
            if self.is_v2 { &["memory.max", "memory.high"] } else { &["memory.limit_in_bytes"] };
        let read =
            |name: &&str| fs::read_to_string(PathBuf::from(group).join(name)).ok()?.trim().parse().ok();
        names.iter().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    /// A root directory with these files.
    fn check(files: &[(&str, &str)], expected: Option<u64>) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(limit_under(root.path()), expected, "{files:?}");
    }

    #[test]
    fn a_container_with_a_namespace_of_its_own_is_at_the_mount_point() {
        let base = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("proc/meminfo", "MemTotal:       24682400 kB\nMemFree: 1 kB\n"),
        ];
        let with = |max, high| {
            [&base[..], &[("sys/fs/cgroup/memory.max", max), ("sys/fs/cgroup/memory.high", high)]].concat()
        };
        check(&with("268435456\n", "max\n"), Some(268_435_456));
        check(&with("max\n", "134217728\n"), Some(134_217_728));
        check(&with("max\n", "max\n"), Some(24_682_400 * 1024));
    }

    #[test]
    fn a_group_above_may_be_the_tightest() {
        check(
            &[
                ("proc/self/cgroup", "0::/system.slice/bridge.service\n"),
                ("proc/self/mountinfo", V2),
                ("sys/fs/cgroup/system.slice/bridge.service/memory.max", "max\n"),
                ("sys/fs/cgroup/system.slice/memory.max", "1000000\n"),
                ("sys/fs/cgroup/other.slice/memory.max", "1\n"),
            ],
            Some(1_000_000),
        );
    }

    #[test]
    fn version_1_with_the_path_of_the_host() {
        let unlimited = "9223372036854771712\n";
        check(
            &[
                ("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n"),
                (
                    "proc/self/mountinfo",
                    "40 30 0:35 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:19 - cgroup cgroup rw,memory\n\
                     41 30 0:36 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n"),
                ("sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n"),
            ],
            Some(67_108_864),
        );
        check(
            &[
                ("proc/self/cgroup", "4:memory:/a\n"),
                ("proc/self/mountinfo", "40 30 0:35 / /cg rw - cgroup cgroup rw,memory\n"),
                ("cg/memory.limit_in_bytes", unlimited),
                ("cg/a/memory.limit_in_bytes", unlimited),
                ("proc/meminfo", "MemTotal: 1024 kB\n"),
            ],
            Some(1024 * 1024),
        );
    }

    #[test]
    fn a_group_that_is_not_mounted_is_the_mount_point() {
        for group in ["0::/../elsewhere\n", "0::/not/mounted\n", ""] {
            let mount = "30 23 0:26 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
            check(
                &[
                    ("proc/self/cgroup", group),
                    ("proc/self/mountinfo", mount),
                    ("sys/fs/cgroup/memory.max", "5000\n"),
                ],
                Some(5000),
            );
        }
    }

    #[test]
    fn where_nobody_tells_there_is_no_limit() {
        check(&[], None);
        check(
            &[("proc/self/cgroup", "junk"), ("proc/self/mountinfo", "- junk -"), ("proc/meminfo", "x")],
            None,
        );
    }
}
