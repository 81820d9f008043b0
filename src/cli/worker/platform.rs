//! The machine: its names, and paths and node names with its names in them.

use celery_core::app::Celery;

/// The operating system, such as `Linux`.
pub(in crate::cli) fn system() -> String {
    match std::env::consts::OS {
        "macos" => "Darwin".to_owned(),
        os => {
            let mut letters = os.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect()
        }
    }
}

/// The release of the kernel, where the system tells.
pub(in crate::cli) fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}

/// A node name with `%h` for the host, `%n` for its name and `%d` for its domain.
pub(super) fn expand_host(template: &str) -> String {
    let host = host();
    let (name, domain) = host.split_once('.').unwrap_or((&host, ""));
    expand(template, |letter| match letter {
        'h' => Some(host.clone()),
        'n' => Some(name.to_owned()),
        'd' => Some(domain.to_owned()),
        _ => None,
    })
}

/// A path with `%p` for the node name, `%n` for what is before its `@` and `%h` for what is after it, `%d` for the
/// domain of that, and `%i` and `%I` for the number of the process: `0` and nothing for the worker itself, `1` and `-1`
/// for the first of its children.
pub(super) fn expand_node(template: &str, node: &str, process: usize) -> String {
    let (name, host) = node.split_once('@').unwrap_or((node, ""));
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    expand(template, |letter| match letter {
        'p' => Some(node.to_owned()),
        'n' => Some(name.to_owned()),
        'h' => Some(host.to_owned()),
        'd' => Some(domain.to_owned()),
        'i' => Some(process.to_string()),
        'I' if process == 0 => Some(String::new()),
        'I' => Some(format!("-{process}")),
        _ => None,
    })
}

fn host() -> String {
    let node = Celery::node_name(None);
    node.split_once('@').map_or(node.clone(), |(_, host)| host.to_owned())
}

/// `%%` is a per cent sign, and what is not known stays.
fn expand(template: &str, value: impl Fn(char) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = template.chars();
    while let Some(char) = rest.next() {
        if char != '%' {
            expanded.push(char);
            continue;
        }
        match rest.next() {
            Some('%') => expanded.push('%'),
            Some(letter) => match value(letter) {
                Some(value) => expanded.push_str(&value),
                None => expanded.extend(['%', letter]),
            },
            None => expanded.push('%'),
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_expanded_with_the_parts_of_the_node_name() {
        let check = |template: &str, expected: &str| {
            assert_eq!(expand_node(template, "w1@box.example.org", 0), expected);
        };
        check("/run/%n.pid", "/run/w1.pid");
        check("%p%I.log", "w1@box.example.org.log");
        check("%h-%d-%i", "box.example.org-example.org-0");
        check("100%%-%x-%", "100%-%x-%");
        assert_eq!(expand_node("%n%I-%i.log", "w1@box", 2), "w1-2-2.log");
    }

    #[test]
    fn a_node_name_is_expanded_with_the_parts_of_the_host_name() {
        let host = host();
        assert_eq!(expand_host("w1@%h"), format!("w1@{host}"));
        assert_eq!(expand_host("w1@%n"), format!("w1@{}", host.split('.').next().unwrap()));
    }
}
