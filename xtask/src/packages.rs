//! Programs: found in `PATH`, or installed with the system's package manager where that needs no password.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::failure::Failure;

/// A package, under the name that each package manager has for it.
#[derive(Debug)]
pub(crate) struct Package {
    apt_get: &'static str,
    dnf: &'static str,
    apk: &'static str,
    brew: &'static str,
}

pub(crate) const REDIS: Package =
    Package { apt_get: "redis-server", dnf: "redis", apk: "redis", brew: "redis" };
pub(crate) const TMUX: Package =
    Package { apt_get: "tmux", dnf: "tmux", apk: "tmux", brew: "tmux" };
pub(crate) const CHROMIUM: Package =
    Package { apt_get: "chromium", dnf: "chromium", apk: "chromium", brew: "chromium" };
pub(crate) const PYTHON: Package =
    Package { apt_get: "python3-venv", dnf: "python3", apk: "python3", brew: "python" };

/// Finds `program` in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &std::path::Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file())
}

/// Finds `program`, installing `package` when it is not there.
pub(crate) fn find_or_install(program: &str, package: &Package) -> Result<PathBuf, Failure> {
    if let Some(found) = find(program) {
        return Ok(found);
    }
    install(program, package)?;
    find(program).ok_or_else(|| {
        Failure::new(
            format!("the package was installed, and {program} is still not in PATH"),
            by_hand(package),
        )
    })
}

/// Installs `package` because `missing` is missing.
pub(crate) fn install(missing: &str, package: &Package) -> Result<(), Failure> {
    let lines = choose(|program| find(program).is_some(), privilege())
        .ok_or_else(|| Failure::new(format!("{missing} is missing"), by_hand(package)))?
        .lines(package);
    for line in lines {
        println!("xtask: {missing} is missing; running `{line}`");
        let mut words = line.split(' ');
        let program = words.next().unwrap_or_default();
        let status = Command::new(program).args(words).stdin(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(Failure::new(
                format!("{missing} is missing, and `{line}` failed"),
                by_hand(package),
            ));
        }
    }
    Ok(())
}

fn by_hand(package: &Package) -> String {
    format!(
        "install it: `apt-get install {}`, `dnf install {}`, `apk add {}` or `brew install {}`",
        package.apt_get, package.dnf, package.apk, package.brew
    )
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Privilege {
    Root,
    /// sudo that asks for no password.
    Sudo,
    None,
}

fn privilege() -> Privilege {
    let id = Command::new("id").arg("-u").output();
    if id.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Privilege::Root;
    }
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if sudo.is_ok_and(|status| status.success()) { Privilege::Sudo } else { Privilege::None }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tool {
    AptGet,
    Dnf,
    Apk,
    Brew,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Manager {
    tool: Tool,
    sudo: bool,
}

/// The package manager that may be used, if there is one. Homebrew works without rights and refuses root.
fn choose(has: impl Fn(&str) -> bool, privilege: Privilege) -> Option<Manager> {
    if privilege != Privilege::None {
        let system = [("apt-get", Tool::AptGet), ("dnf", Tool::Dnf), ("apk", Tool::Apk)];
        if let Some((_, tool)) = system.into_iter().find(|(program, _)| has(program)) {
            return Some(Manager { tool, sudo: privilege == Privilege::Sudo });
        }
    }
    (privilege != Privilege::Root && has("brew"))
        .then_some(Manager { tool: Tool::Brew, sudo: false })
}

impl Manager {
    /// The commands that install `package`, in order.
    fn lines(self, package: &Package) -> Vec<String> {
        let lines = match self.tool {
            // A fresh container has no package lists.
            Tool::AptGet => vec![
                "apt-get update".to_owned(),
                format!("apt-get install --yes --no-install-recommends {}", package.apt_get),
            ],
            Tool::Dnf => vec![format!("dnf install --assumeyes {}", package.dnf)],
            Tool::Apk => vec![format!("apk add --no-cache {}", package.apk)],
            Tool::Brew => vec![format!("brew install {}", package.brew)],
        };
        let sudo = if self.sudo { "sudo -n " } else { "" };
        lines.into_iter().map(|line| format!("{sudo}{line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(programs: &[&str], privilege: Privilege, expect: &[&str]) {
        let manager = choose(|program| programs.contains(&program), privilege);
        assert_eq!(manager.map(|manager| manager.lines(&REDIS)).unwrap_or_default(), expect);
    }

    #[test]
    fn root_uses_the_systems_package_manager() {
        let apt = ["apt-get update", "apt-get install --yes --no-install-recommends redis-server"];
        check(&["apt-get", "brew"], Privilege::Root, &apt);
        check(&["dnf"], Privilege::Root, &["dnf install --assumeyes redis"]);
        check(&["apk"], Privilege::Root, &["apk add --no-cache redis"]);
    }

    #[test]
    fn sudo_is_used_where_it_asks_nothing() {
        check(&["dnf"], Privilege::Sudo, &["sudo -n dnf install --assumeyes redis"]);
    }

    #[test]
    fn homebrew_needs_no_rights_and_refuses_root() {
        check(&["apt-get", "brew"], Privilege::None, &["brew install redis"]);
        check(&["brew"], Privilege::Sudo, &["brew install redis"]);
        check(&["brew"], Privilege::Root, &[]);
    }

    #[test]
    fn without_rights_nothing_is_installed_and_the_remedy_names_the_package() {
        check(&["apt-get", "dnf", "apk"], Privilege::None, &[]);
        assert!(by_hand(&PYTHON).contains("`apt-get install python3-venv`"));
    }

    #[test]
    fn a_program_is_found_in_path_or_not_at_all() {
        assert!(find("cargo").is_some(), "cargo runs this test");
        assert_eq!(find("no-such-program"), None);
    }
}
