//! Patterns of names, of tasks and of nodes, as Python's `fnmatch` reads them: `*`, `?`, `[a-z]` and `[!a-z]`.

/// A pattern that stands for whole names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Any number of characters.
    Star,
    /// One character.
    Any,
    /// This character.
    Char(char),
    /// One character of these ranges, or of none of them.
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Every text is a pattern: a bracket that is not closed stands for itself.
    pub(crate) fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::with_capacity(chars.len());
        let mut at = 0;
        while let Some(&char) = chars.get(at) {
            at += 1;
            parts.push(match char {
                '*' if parts.last() == Some(&Part::Star) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => match set(&chars[at..]) {
                    Some((set, len)) => {
                        at += len;
                        set
                    }
                    None => Part::Char('['),
                },
                char => Part::Char(char),
            });
        }
        Self { parts }
    }

    /// Whether the pattern stands for this name.
    ///
    /// The time is at most the product of the lengths: only the last star is ever tried again.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut at = 0;
        // The part after the last star, and what of the name it was last tried upon.
        let mut star = None;
        loop {
            if let Some(Part::Star) = self.parts.get(at) {
                at += 1;
                star = Some((at, rest.clone()));
                continue;
            }
            let matched = match (self.parts.get(at), rest.next()) {
                (None, None) => return true,
                (Some(part), Some(char)) => part.matches(char),
                // The name has ended and the pattern asks for more.
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            if matched {
                at += 1;
            } else {
                // Let the last star have one character more.
                let Some((after, tried)) = &mut star else { return false };
                tried.next();
                (at, rest) = (*after, tried.clone());
            }
        }
    }
}

impl Part {
    fn matches(&self, char: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Char(this) => *this == char,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&char)) != *negated
            }
        }
    }
}

/// Reads a set from behind its opening bracket; says how long it is, with the closing one.
fn set(chars: &[char]) -> Option<(Part, usize)> {
    let negated = chars.first() == Some(&'!');
    let start = usize::from(negated);
    // A closing bracket in the first place is one of the set.
    let end = start + 1 + chars.get(start + 1..)?.iter().position(|char| *char == ']')?;
    let mut ranges = Vec::new();
    let mut rest = &chars[start..end];
    while let [low, after @ ..] = rest {
        (rest, _) = match after {
            // One that runs backwards is empty.
            ['-', high, after @ ..] => (after, ranges.push((*low, *high))),
            after => (after, ranges.push((*low, *low))),
        };
    }
    Some((Part::Set { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern);
        for name in yes {
            assert!(glob.matches(name), "`{pattern}` should match {name:?}");
        }
        for name in no {
            assert!(!glob.matches(name), "`{pattern}` should not match {name:?}");
        }
    }

    #[test]
    fn patterns_stand_for_what_they_do_in_python() {
        check(
            "feed.tasks.*",
            &["feed.tasks.", "feed.tasks.import", "feed.tasks.a.b\n"],
            &["feed.tasks", "xfeed.tasks.a"],
        );
        check("*", &["", "anything"], &[]);
        check("*.import", &["a.import", ".import", "import.import"], &["import", "a.imports"]);
        check("a*b*c", &["abc", "abbc", "a-b-b-c-c"], &["ab", "acb", "abcd"]);
        check("a?*", &["ab", "aé"], &["a", "ba"]);
        check("*[abc]", &["a", "xxc"], &["d", ""]);
        check("*[a-c-e]", &["b", "-", "e"], &["d"]);
        check("*[!a-c]", &["d", "aa!"], &["a", ""]);
        check("*[]]", &["]"], &["["]);
        check("*[!]]", &["a"], &["]"]);
        check("[*", &["[", "[ab"], &["a"]);
        check("*[c-a-b]", &["-", "b"], &["a", "c"]);
        check("a[b-a]*", &[], &["a", "aa", "ab"]);
        check("*[--0]", &["-", ".", "/", "0"], &["1"]);
        check("*[!!a]", &["b"], &["!", "a"]);
        check("A*", &["Ab"], &["ab"]);
    }

    /// What the parts say, tried in every way there is.
    fn matches_naively(parts: &[Part], name: &[char]) -> bool {
        match (parts, name) {
            ([], name) => name.is_empty(),
            ([Part::Star, rest @ ..], name) => {
                (0..=name.len()).any(|skip| matches_naively(rest, &name[skip..]))
            }
            ([part, rest @ ..], [char, name @ ..]) => {
                part.matches(*char) && matches_naively(rest, name)
            }
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_as_if_every_way_were_tried(pattern in r"[ab.*?\[\]!-]{0,10}", name in "[ab.!-]{0,8}") {
            let glob = Glob::new(&pattern);
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(glob.matches(&name), matches_naively(&glob.parts, &chars));
        }

        #[test]
        fn a_pattern_made_of_a_name_matches_the_name(name in "[a-z_.]{0,20}", from in 0usize..20, len in 0usize..20) {
            let from = from.min(name.len());
            let to = (from + len).min(name.len());
            let starred = format!("{}*{}", &name[..from], &name[to..]);
            prop_assert!(Glob::new(&starred).matches(&name));
        }

        #[test]
        fn no_pattern_panics(pattern: String, name: String) {
            Glob::new(&pattern).matches(&name);
        }
    }
}
