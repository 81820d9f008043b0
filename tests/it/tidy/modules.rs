//! Which module of celery-core may use which.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::lexer::{Token, begins, inside, lex};

/// The groups of celery-core's top-level modules, first to last. A module uses its own group and the ones above it,
/// never one below. `ARCHITECTURE.md` has the same list under [`HEADING`].
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "values",
        &[
            "value",
            "codec",
            "repr",
            "date",
            "ids",
            "message",
            "envelope",
            "protocol",
            "arguments",
            "state",
            "tree",
            "exception",
            "rate",
            "expiring",
            "queue",
            "routing",
            "config",
        ],
    ),
    ("seams", &["clock", "broker", "backend", "transport", "memory", "conformance"]),
    (
        "calling",
        &[
            "error",
            "app",
            "options",
            "retry",
            "context",
            "task",
            "registry",
            "signature",
            "canvas",
            "result",
            "signals",
            "control",
            "events",
            "macro_support",
        ],
    ),
    ("running", &["worker"]),
];

const HEADING: &str = "Modules of celery-core";

/// Where celery-core's modules are.
const SOURCE: &str = "celery-core/src/";

/// Complains of each module without a group, and of each path that leads to a later group.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let files: Vec<Module<'_>> = files.iter().filter_map(Module::of).collect();
    let root = Root::of(&files);
    let names: BTreeSet<&str> = files.iter().filter_map(|file| file.top).collect();
    let mut complaints: Vec<String> = names
        .iter()
        .filter(|name| group(name).is_none())
        .map(|name| {
            format!("{SOURCE}{name}.rs: is in no group: add it to GROUPS in tests/it/tidy/modules.rs and to ARCHITECTURE.md")
        })
        .collect();
    for file in &files {
        let Some((top, own)) = file.top.and_then(|top| Some((top, group(top)?))) else { continue };
        for used in file.uses() {
            let path = file.path;
            match root.module_of(&used, &names) {
                Some(Target::Module(module)) => match group(module) {
                    Some(other) if other > own => complaints.push(format!(
                        "{path}: {top} ({}) uses crate::{used} ({}), which comes later",
                        GROUPS[own].0, GROUPS[other].0
                    )),
                    // A module without a group has been complained of already.
                    _ => {}
                },
                Some(Target::Outside) => {}
                None => complaints.push(format!(
                    "{path}: crate::{used} is not a module, nor a name that lib.rs lists"
                )),
            }
        }
    }
    complaints.dedup();
    complaints
}

/// Complains where the list in `ARCHITECTURE.md` and [`GROUPS`] differ.
pub(super) fn check_architecture(text: &str) -> Vec<String> {
    let listed: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != HEADING)
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let wanted: Vec<Vec<&str>> =
        GROUPS.iter().map(|(name, modules)| [&[*name], *modules].concat()).collect();
    if listed == wanted {
        return vec![];
    }
    let block: Vec<String> = wanted.iter().map(|line| line.join(" ")).collect();
    vec![format!(
        "ARCHITECTURE.md: the block under \"{HEADING}\" differs from GROUPS in tests/it/tidy/modules.rs, which says\n{}",
        block.join("\n")
    )]
}

fn group(module: &str) -> Option<usize> {
    GROUPS.iter().position(|(_, modules)| modules.contains(&module))
}

/// A file of celery-core.
struct Module<'a> {
    path: &'a str,
    /// Its top-level module; lib.rs has none.
    top: Option<&'a str>,
    /// How many `super` lead from it to the root.
    depth: usize,
    tokens: Vec<Token>,
}

impl<'a> Module<'a> {
    fn of(file: &'a File) -> Option<Self> {
        let path = file.path.strip_prefix(SOURCE)?.strip_suffix(".rs")?;
        let top = path.split('/').next().filter(|_| path != "lib");
        let depth = top.map_or(0, |_| path.split('/').count());
        // What is not Rust is another rule's complaint.
        Some(Self { path: &file.path, top, depth, tokens: lex(&file.text)? })
    }

    /// The first names after the root in all paths, wherever they stand: `use`, signatures, bodies, macros.
    fn uses(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        // For each open bracket, whether it is that of a module.
        let mut open = Vec::new();
        let mut supers = 0;
        for (at, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Open(_) => open.push(at >= 2 && begins(&self.tokens[at - 2..], "mod")),
                Token::Close(_) => _ = open.pop(),
                Token::Word(_) | Token::Sign(_) | Token::Literal => {}
            }
            let rest = &self.tokens[at..];
            let depth = self.depth + open.iter().filter(|is_module| **is_module).count();
            if begins(rest, "crate : :") {
                first_names(&rest[3..], &mut used);
            } else if begins(rest, "super : :") {
                let continues = at >= 3 && begins(&self.tokens[at - 3..], "super : :");
                supers = if continues { supers + 1 } else { 1 };
                if supers == depth {
                    first_names(&rest[3..], &mut used);
                }
            }
        }
        used
    }
}

/// The name that `tokens` begin with, or each first name in the braces that they begin with.
fn first_names(tokens: &[Token], names: &mut BTreeSet<String>) {
    match tokens {
        // A macro: it is at the root wherever it is written, so its path says nothing.
        [Token::Word(_), Token::Sign('!'), ..] => {}
        [Token::Word(name), ..] => _ = names.insert(name.clone()),
        [Token::Sign('*'), ..] => _ = names.insert("*".to_owned()),
        [Token::Open(_), ..] => {
            for entry in entries(inside(tokens)) {
                first_names(entry, names);
            }
        }
        _ => {}
    }
}

/// The parts between the commas that stand in no further bracket.
fn entries(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_i32;
    tokens
        .split(|token| {
            match token {
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth -= 1,
                Token::Word(_) | Token::Sign(_) | Token::Literal => {}
            }
            depth == 0 && *token == Token::Sign(',')
        })
        .collect()
}

/// Where a name at the root leads.
#[derive(Debug, PartialEq)]
enum Target<'a> {
    Module(&'a str),
    /// To another crate, to a macro, or to lib.rs itself.
    Outside,
}

/// The names at the root that are not modules in files of their own.
struct Root {
    /// What lib.rs lists with `use`, and the first name of the path that it comes from.
    listed: BTreeMap<String, String>,
    /// What lib.rs defines, and the macros of all files.
    defined: BTreeSet<String>,
}

impl Root {
    fn of(files: &[Module<'_>]) -> Self {
        let mut root = Self { listed: BTreeMap::new(), defined: BTreeSet::new() };
        for file in files {
            for at in 0..file.tokens.len() {
                let rest = &file.tokens[at..];
                match rest {
                    [_, Token::Sign('!'), Token::Word(name), ..] if begins(rest, "macro_rules") => {
                        root.defined.insert(name.clone());
                    }
                    [Token::Word(kind), Token::Word(name), ..]
                        if file.top.is_none() && defines(kind) =>
                    {
                        root.defined.insert(name.clone());
                    }
                    [Token::Word(word), path @ ..] if file.top.is_none() && word == "use" => {
                        root.list(path);
                    }
                    _ => {}
                }
            }
        }
        root
    }

    /// Reads a `use` of lib.rs, without the word itself.
    fn list(&mut self, path: &[Token]) {
        let end = path.iter().position(|token| *token == Token::Sign(';')).unwrap_or(path.len());
        let mut path = &path[..end];
        while begins(path, "crate : :") || begins(path, "self : :") {
            path = &path[3..];
        }
        let Some(first) = path.first().and_then(Token::word) else { return };
        for (at, token) in path.iter().enumerate() {
            let is_last =
                matches!(path.get(at + 1), None | Some(Token::Sign(',') | Token::Close(_)));
            if let (Token::Word(name), true) = (token, is_last) {
                self.listed.insert(name.clone(), first.to_owned());
            }
        }
    }

    fn module_of<'a>(&'a self, name: &'a str, modules: &BTreeSet<&str>) -> Option<Target<'a>> {
        if modules.contains(name) {
            return Some(Target::Module(name));
        }
        match self.listed.get(name) {
            Some(first) if modules.contains(first.as_str()) => Some(Target::Module(first)),
            Some(_) => Some(Target::Outside),
            None => self.defined.contains(name).then_some(Target::Outside),
        }
    }
}

fn defines(kind: &str) -> bool {
    ["const", "enum", "fn", "mod", "static", "struct", "trait", "type"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "mod retry; pub mod broker; pub use broker::{Broker, BrokerError as Broken}; \
                       pub use serde_json::Value; pub mod __private { pub use inventory; }";

    /// The complaints of a core that has `text` at `path`, and otherwise nothing to complain of.
    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File {
            path: format!("{SOURCE}{path}"),
            text: text.to_owned(),
        };
        let mut files = vec![file("lib.rs", LIB)];
        for name in ["repr.rs", "state.rs", "broker.rs", "app.rs", "worker.rs"] {
            files.push(file(name, ""));
        }
        files.push(file("broker/late.rs", "#[macro_export] macro_rules! conforms { () => {} }"));
        files.push(file(path, text));
        check(&files)
    }

    #[track_caller]
    fn refused(path: &str, text: &str) {
        assert_eq!(complaints(path, text).len(), 1, "{text}");
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(complaints(path, text), [""; 0], "{text}");
    }

    #[test]
    fn a_value_uses_no_later_group() {
        refused("repr.rs", "use crate::broker::Broker;");
        refused("repr.rs", "use crate::{state::State, worker::{Worker, Limits}};");
        refused("repr/tests.rs", "use crate::app;");
        refused("repr.rs", "fn f() -> crate::worker::Worker { loop {} }");
        refused("repr.rs", "fn f() { vec![crate::app::current()]; }");
        refused("repr.rs", "macro_rules! m { () => { $crate::worker::run() } }");
        refused("repr.rs", "#[cfg(test)] mod tests { use crate::app::Celery; }");
    }

    #[test]
    fn the_worker_is_used_by_nobody() {
        refused("app.rs", "use crate::worker;");
        refused("broker/late.rs", "use crate::worker;");
    }

    #[test]
    fn the_same_and_earlier_groups_may_be_used() {
        allowed("repr.rs", "use crate::state::State;");
        allowed("worker.rs", "use crate::{app::Celery, broker::Broker, retry::{Policy, worker}};");
        allowed("worker/limits.rs", "use super::{Worker, app}; pub(crate) struct Limits;");
        allowed(
            "repr.rs",
            "//! See `crate::worker`.\n// crate::worker\nconst A: &str = \"crate::worker\";",
        );
    }

    #[test]
    fn a_path_of_supers_is_followed_to_the_root() {
        refused("repr.rs", "use super::worker::Worker;");
        refused("repr/jitter.rs", "use super::super::worker::Worker;");
        refused("repr.rs", "mod tests { use super::super::{worker}; }");
        allowed("repr/jitter.rs", "use super::worker::Worker;");
        allowed("repr.rs", "mod tests { use super::worker; }");
        allowed("repr.rs", "fn f() { if true { super::state::f() } }");
    }

    #[test]
    fn what_lib_rs_lists_leads_to_its_module() {
        refused("repr.rs", "use crate::Broker;");
        refused("repr.rs", "use crate::{Broken, Value};");
        allowed("app.rs", "use crate::{Broker, Broken};");
    }

    #[test]
    fn names_of_other_crates_and_macros_have_no_group() {
        allowed(
            "repr.rs",
            "use crate::{Value, conforms}; crate::conforms!(); use crate::__private::inventory;",
        );
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused() {
        refused("repr.rs", "use crate::*;");
        refused("repr.rs", "use crate::Mystery;");
    }

    #[test]
    fn a_module_without_a_group_is_told_where_to_get_one() {
        refused("novel.rs", "");
        refused("novel/part.rs", "");
        assert!(complaints("novel.rs", "")[0].contains("ARCHITECTURE.md"));
    }

    #[test]
    fn an_architecture_that_lists_other_modules_is_refused() {
        let block: Vec<String> =
            GROUPS.iter().map(|(name, modules)| format!("{name}  {}", modules.join(" "))).collect();
        let text = |block: &str| {
            format!("# Architecture\n\n## {HEADING}\n\nDown only.\n\n```text\n{block}\n```\n")
        };
        assert_eq!(check_architecture(&text(&block.join("\n"))), [""; 0]);
        assert_eq!(check_architecture(&text(&block[1..].join("\n"))).len(), 1);
        assert_eq!(check_architecture(&text(&block.join("\n").replace("worker", "beat"))).len(), 1);
        assert_eq!(check_architecture("").len(), 1);
    }

    #[test]
    fn no_module_is_in_two_groups() {
        let all: Vec<&str> = GROUPS.iter().flat_map(|(_, modules)| *modules).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
