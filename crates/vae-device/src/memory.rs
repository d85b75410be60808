//! Memory of this process and of the machine, where the system tells it without further ado: on Linux.

use std::fs;

/// Bytes of memory that the process has in use.
#[must_use]
pub fn used() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Bytes of memory of the machine, and those that are free or can be freed.
#[must_use]
pub fn of_machine() -> Option<(u64, u64)> {
    let field = |name| field("/proc/meminfo", name);
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

/// Bytes of memory that the process can still have: what the machine has free, or its container.
#[must_use]
pub fn available() -> Option<u64> {
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let of_container = limit.zip(number("/sys/fs/cgroup/memory.current"));
    let left = of_container.map(|(limit, used)| limit.saturating_sub(used));
    let (_, free) = of_machine()?;
    Some(left.map_or(free, |left| left.min(free)))
}

/// A line of `file` such as `VmRSS:    1234 kB`, in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `312 MB`, `1.5 GB`
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const MB: f64 = 1e6;
    let megabytes = bytes as f64 / MB;
    if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.1} GB", megabytes / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_uses_some_of_the_memory_of_its_machine() {
        let used = super::used().expect("Linux tells");
        let (all, free) = super::of_machine().expect("Linux tells");
        assert!(used > 1_000_000 && used < all && free < all);
    }

    #[test]
    fn bytes_are_said_in_units_that_people_read() {
        assert_eq!(super::bytes(312_400_000), "312 MB");
        assert_eq!(super::bytes(1_540_000_000), "1.5 GB");
    }
}
