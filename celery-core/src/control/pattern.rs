//! Patterns of node names, by kombu's two matchers.

use regex_lite::Regex;

use crate::routing::glob::Glob;

/// How a pattern of node names is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Of the whole name, as a shell matches files: `*`, `?`, `[ab]`, `[!ab]`.
    Glob,
    /// A regular expression that matches the beginning of the name, as Python's `re.match`.
    Pcre,
}

impl Matcher {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::Pcre => "pcre",
        }
    }

    /// The matcher of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Glob, Self::Pcre].into_iter().find(|matcher| matcher.name() == name)
    }

    /// Whether the node name matches. A regular expression that cannot be read matches nothing, and is logged.
    pub fn matches(self, pattern: &str, node: &str) -> bool {
        if self == Self::Glob {
            return Glob::new(pattern).matches(node);
        }
        match Regex::new(&format!(r"\A(?:{pattern})")) {
            Ok(regex) => regex.is_match(node),
            Err(error) => {
                tracing::warn!(pattern, %error, "a pattern of node names cannot be read");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(matcher: Matcher, pattern: &str, node: &str, expected: bool) {
        assert_eq!(matcher.matches(pattern, node), expected, "{pattern} and {node}");
    }

    #[test]
    fn a_glob_matches_the_whole_name_as_fnmatch_does() {
        let glob = |pattern, node, expected| check(Matcher::Glob, pattern, node, expected);
        glob("w2*", "w2@host", true);
        glob("w2", "w2@host", false);
        glob("w?@*", "w2@host", true);
        glob("w[12]@host", "w2@host", true);
        glob("w[!12]@host", "w2@host", false);
        glob("w[1-3]@host", "w2@host", true);
        glob("w[]2]@host", "w]@host", true);
        glob("w.@host", "w2@host", false);
        glob("w[2@host", "w[2@host", true);
    }

    #[test]
    fn a_pcre_matches_the_beginning_of_the_name_as_re_match_does() {
        check(Matcher::Pcre, "w[12]@.*", "w2@host", true);
        check(Matcher::Pcre, "w1|w2", "w2@host", true);
        check(Matcher::Pcre, "host", "w2@host", false);
        check(Matcher::Pcre, "(", "w2@host", false);
    }
}
